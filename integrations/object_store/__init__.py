"""Places for files: reports, and later badges and exports."""
