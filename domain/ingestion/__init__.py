"""Subject: ingestion."""
