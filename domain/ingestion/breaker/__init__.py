"""Circuit breaker of providers."""
