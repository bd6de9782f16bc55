"""Subject: settlement."""
