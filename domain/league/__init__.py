"""Subject: league."""
