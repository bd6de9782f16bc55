"""Subject: boards as files."""
