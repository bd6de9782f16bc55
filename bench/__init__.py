"""Benchmarks: each a ratio against a limit measured in the same run, never a time alone."""
