"""Subject: schedule."""
