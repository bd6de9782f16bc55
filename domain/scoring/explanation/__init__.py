"""Subject: explanation of points."""
