"""Subject: execution."""
