"""Subject: leaderboard."""
