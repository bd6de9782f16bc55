"""Part of the subject settlement: guesses as they were judged, where they have changed since."""
