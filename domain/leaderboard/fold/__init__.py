"""Part of the subject leaderboard: the fold."""
