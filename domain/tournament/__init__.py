"""Subject: tournament."""
