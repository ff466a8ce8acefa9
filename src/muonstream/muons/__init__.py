"""Segments, tracks and what is calibrated with them."""
