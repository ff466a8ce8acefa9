"""Archived runs on the page."""
