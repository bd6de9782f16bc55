"""Accepted results: the revisions that settlements pay for."""
