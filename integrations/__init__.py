"""The outside world: providers, servers and services, each behind a port of the domain."""
