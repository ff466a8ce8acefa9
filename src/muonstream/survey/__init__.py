"""A survey of an input in one pass: what `inspect` shows."""
