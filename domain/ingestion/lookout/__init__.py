"""What is worth asking a provider for: matches in play, knockout rounds that appear."""
