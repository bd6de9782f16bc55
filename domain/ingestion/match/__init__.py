"""Part of the subject ingestion: the rows of matches."""
