"""A run: its account, snapshots, summary, state and verdict board."""
