"""The numbers that a process shows to Prometheus. docs/metrics.md lists them; a test compares."""
