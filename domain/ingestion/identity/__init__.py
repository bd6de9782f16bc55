"""Which stored team one is that a provider tells of under a new key."""
