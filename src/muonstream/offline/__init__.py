"""From files to a run: shared by `muonstream process` and Python programs, which import it."""
