"""Engines: words in, snapshots out."""
