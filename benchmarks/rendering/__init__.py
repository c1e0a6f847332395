"""From a benchmark's JSON to the table that stands in the documents; one file a subject."""
