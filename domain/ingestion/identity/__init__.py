"""Which stored team one is that a tournament's new provider tells of."""
