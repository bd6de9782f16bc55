"""Composition root: the only place that knows settings, processes and concrete servers."""
