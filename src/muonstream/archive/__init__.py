"""The archive of runs: a file of open standards for each, people's additions, and an index made from the files."""
