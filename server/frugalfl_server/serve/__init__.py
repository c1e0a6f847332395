"""``frugalfl serve``: a SuperLink, the run's ServerApp on it, and what they say."""
