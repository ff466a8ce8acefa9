"""Files in, a run out: what `muonstream process` and Python programs share, and what programs import."""
