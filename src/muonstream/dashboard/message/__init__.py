"""The message of a snapshot, as browsers get it."""
