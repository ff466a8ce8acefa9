"""Segments and tracks of muons, and calibration with them."""
