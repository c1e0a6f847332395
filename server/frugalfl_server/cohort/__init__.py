"""Who is asked in a round, for what, and who is who."""
