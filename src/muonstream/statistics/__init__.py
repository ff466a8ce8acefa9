"""Fits and tests that several parts use."""
