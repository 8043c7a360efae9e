"""Errors that the user can mend."""


class UserError(Exception):
    """One line: the key, file or index at fault, what was expected, and the way out. The command line exits with 2."""
