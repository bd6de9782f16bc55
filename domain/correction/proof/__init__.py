"""The proof: everything that was settled, worked out once more from guesses, results and rules, by another way."""
