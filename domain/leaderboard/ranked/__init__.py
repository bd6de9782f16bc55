"""Part of the subject leaderboard: who is ranked."""
