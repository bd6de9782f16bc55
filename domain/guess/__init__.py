"""Subject: guess."""
