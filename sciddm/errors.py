"""Errors that the user can mend."""


class UserError(Exception):
    """One line: the key, file or index at fault, what was expected, and the way out. The command line exits with 2."""


class Refusal(ValueError):
    """Methods that do not go together: a guide, a solver, a particle method. One line that says why, and what does."""
