"""Valkey: the projection of boards, and ticks over pub/sub."""
