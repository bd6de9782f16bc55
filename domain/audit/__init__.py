"""Subject: audit."""
