"""What spark-submit is given: muonstream's command line."""

from muonstream.cli.app import main

main()
