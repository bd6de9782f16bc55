"""Subject: member."""
