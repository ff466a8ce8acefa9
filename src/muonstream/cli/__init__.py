"""The command line: options, help, errors in one line."""


def main() -> None:
    """Run the command line with the arguments of this process, for scripts that start it from Python."""
    from muonstream.cli.app import main as command_line

    command_line()
