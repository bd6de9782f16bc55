"""Part of the subject settlement: a member who is taken off the boards of a tournament."""
