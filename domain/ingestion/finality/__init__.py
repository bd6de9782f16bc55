"""When a result that a provider tells may be believed: its gate, and what was read of it so far."""
