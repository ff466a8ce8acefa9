"""The detector: its description, channels and geometry, and what its file says of checks."""
