"""Subject: saved guesses whose match turns out to be another."""
