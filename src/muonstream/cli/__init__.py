"""The command line: options, help, one-line errors."""
