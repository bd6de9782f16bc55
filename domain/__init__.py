"""The game and its operation, one folder a subject. Imports no framework; SQL only in `tables.py` and `store.py`."""
