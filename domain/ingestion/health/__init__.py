"""The state of tournaments' data: what needs a look, and what was dismissed."""
