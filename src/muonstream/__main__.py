"""`python -m muonstream`."""

from muonstream.cli import main

main()
