"""Subject: points of matches that are in play, or over and not settled yet."""
