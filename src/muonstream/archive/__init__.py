"""Runs that last: one file of open standards a run, what people add to it, and an index that is made of the files."""
