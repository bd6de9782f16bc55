"""Dead letters: executions that failed for good, kept until somebody replays or discards them."""
