"""Subject: a league's links."""
