"""Part of the subject leaderboard: all present facts of a tournament."""
