"""The demo: members, leagues and guesses that make a replayed season worth watching."""
