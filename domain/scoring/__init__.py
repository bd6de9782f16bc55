"""Subject: scoring."""
