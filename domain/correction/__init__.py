"""Subject: correction. Results changed after they were settled, and settlements proven and repaired by a second way."""
