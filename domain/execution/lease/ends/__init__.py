"""Subject: the two ends of a try."""
