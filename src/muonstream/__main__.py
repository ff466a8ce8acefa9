"""`python -m muonstream`."""

from muonstream.cli.app import main

main()
