"""Recent results of teams."""
