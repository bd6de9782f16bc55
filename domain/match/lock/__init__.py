"""The lock of a match: from then on guesses stand still, and can be seen."""
