"""Jobs: the queue that delivers them, the worker's side of it, and the loops that keep everything moving."""
