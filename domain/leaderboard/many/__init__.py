"""Subject: boards of many leagues, read and ranked together."""
