"""Subject: match."""
