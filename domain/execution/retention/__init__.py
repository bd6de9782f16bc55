"""How long history is kept, and its removal."""
