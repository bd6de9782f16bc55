"""Part of the subject settlement: members' settled facts."""
