"""Child processes: made, read, signalled and reaped here and nowhere else. Knows no jobs."""
