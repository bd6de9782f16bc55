"""Part of the subject leaderboard: boards of earlier moments."""
