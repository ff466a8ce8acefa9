"""Benchmarks: each is run by hand and prints what it measured beside what it is compared with."""
