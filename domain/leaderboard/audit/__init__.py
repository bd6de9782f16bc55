"""Audit of boards: the ledger of points against what it says, and projections against the database."""
