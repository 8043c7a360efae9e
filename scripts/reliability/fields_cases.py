"""Odd gridded fields, of files of one's own and of equations: what the files say, what is no file, keys of the config, what is given."""

from fields_formats import FORMATS
from fields_given import GIVEN
from fields_meaning import MEANING
from fields_odd import ODD
from fields_refused import REFUSED

__all__ = ["CASES", "FORMATS"]

CASES = [*MEANING, *REFUSED, *GIVEN, *ODD]
