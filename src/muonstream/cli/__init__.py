"""The command line: options, help, errors in one line."""
