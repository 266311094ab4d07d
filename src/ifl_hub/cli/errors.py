"""The one way the command line says "this cannot be done as asked"."""


class CommandError(Exception):
    """A mistake in the command itself: printed as one line, exit code 2, never a traceback."""
