"""What a config names: an entry of a table, or `package.module:Name` of one's own, with options in brackets where it takes any.

    "mmps"        "mmps(iterations=3)"        "my_package.guides:Mine(strength=2.0)"

Options are literals: numbers, words in quotes, tuples, True, False and None. All are checked against the signature that takes them.
"""

import ast
import difflib
import functools
import importlib
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sciddm.errors import in_words

PLAIN = (int, float, str, bool, tuple)


def near(word: str, known, prefix: str = "") -> str:
    """ "; did you mean ...?", the prefix before the word, or nothing."""
    match = difflib.get_close_matches(str(word), [str(one) for one in known], n=1)
    return f"; did you mean {prefix}{match[0]}?" if match else ""


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """("mmps", {"iterations": 3}) of "mmps(iterations=3)".

    Raises: ValueError where it is neither NAME nor NAME(option=literal, ...).
    """
    name, bracket, _ = text.partition("(")
    if not bracket:
        return text.strip(), {}
    try:
        call = ast.parse("f" + text[len(name) :].strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("it is no NAME(option=value)")
        if call.args or any(each.arg is None for each in call.keywords):
            raise ValueError("each option wants its name in front")
        return name.strip(), {each.arg: _literal(each) for each in call.keywords}
    except (ValueError, SyntaxError, TypeError) as error:
        why = "its brackets don't match" if isinstance(error, SyntaxError) else str(error)
        raise ValueError(f"{text!r} can't be read: {why}; expected a name, or NAME(option=value, ...)") from error


def _literal(option: ast.keyword):
    try:
        return ast.literal_eval(option.value)
    except ValueError as error:
        said = ast.unparse(option.value)
        raise ValueError(f"option {option.arg} = {said} is no number, word in quotes, tuple, True, False or None") from error


class Kind(NamedTuple):
    """What may stand in a place: `what` it is called, the names that are known, and whether an object of package.module:Name `fits`.

    A name comes from a checkpoint, too: nothing that does not fit is ever called.
    """

    what: str
    table: Mapping[str, Any]
    fits: Callable[[Any], bool]
    expected: str  # in words, for those that don't fit


def find(name: str, kind: Kind):
    """The entry of the table, or the object that `package.module:Name` names.

    Raises: ValueError if there is none, with the near match, or if it is something else.
    """
    what, table = kind.what, kind.table
    if name in table:
        return table[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        head, dot, tail = name.rpartition(".")
        hint = f"; did you mean {head}:{tail}?" if dot else near(name, table)
        raise ValueError(f"{what} {name!r} is none of {sorted(table)} and no package.module:Name, such as my_{what}s:mine{hint}")
    if module.endswith(".py"):
        raise ValueError(f"{what} {name!r}: expected package.module:Name, without .py: {module[:-3]}:{attribute}")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{what} {name!r}: {error}; a file of yours is found beside that of --config, or by PYTHONPATH=FOLDER in front of the command"
        ) from error
    except (Exception, SystemExit) as error:  # whatever is wrong with the user's own file
        raise ValueError(f"{what} {name!r}: {in_words(error)}") from error
    if not hasattr(found, attribute):
        raise ValueError(f"{what} {name!r}: {module} has no {attribute!r}{near(attribute, vars(found))}")
    if not kind.fits(getattr(found, attribute)):
        raise ValueError(f"{what} {name!r} is no {what}; expected {kind.expected}")
    found = getattr(found, attribute)
    if inspect.isabstract(found):
        raise ValueError(f"{what} {name!r} lacks {', '.join(sorted(found.__abstractmethods__))}")
    return found


def options_of(function: Callable, without=()) -> dict[str, inspect.Parameter]:
    """Keyword options of a function or class by name, those of a base class where its own `**` hands them on."""
    owner = function.__mro__ if isinstance(function, type) else (function,)
    found: dict[str, inspect.Parameter] = {}
    for one in owner:
        if isinstance(function, type) and "__init__" not in vars(one):
            continue
        parameters = list(inspect.signature(one.__init__ if isinstance(function, type) else one).parameters.values())
        for parameter in parameters[isinstance(function, type) :]:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(parameter.name, parameter)
        if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters):
            break
    return {name: parameter for name, parameter in found.items() if name not in without}


def check_options(function: Callable, options: Mapping[str, Any], without=(), prefix: str = "") -> None:
    """Names, types and finiteness of options against a signature. without: arguments that somebody else gives; prefix: before names.

    Raises: ValueError that names the option, with what was expected.
    """
    known = options_of(function, without)
    for name, value in options.items():
        if name not in known:
            has = f"expected one of {sorted(known)}{near(name, known)}" if known else "there are no options"
            raise ValueError(f"{prefix}{name} is not known; {has}")
        kinds = _kinds(known[name])
        accepted = kinds + ((int,) if float in kinds else ()) + ((list,) if tuple in kinds else ())
        wrong = kinds and (not isinstance(value, accepted) or (isinstance(value, bool) and bool not in kinds))
        if wrong or (isinstance(value, float) and not math.isfinite(value)):
            words = " or ".join("None" if kind is types.NoneType else kind.__name__ for kind in kinds) or "a number"
            raise ValueError(f"{prefix}{name} = {value!r}: expected {'finite ' * (not wrong)}{words}")


def defaults_of(function: Callable, without=()) -> dict[str, Any]:
    """Options that have a default, with it."""
    found = options_of(function, without)
    return {name: one.default for name, one in found.items() if one.default is not one.empty}


def named(text: str, kind: Kind, without=()) -> Callable:
    """The function that `text` names, with its options put in; `without`: arguments that its caller gives.

    Raises: ValueError on an unknown name or option, or an option of another type.
    """
    name, options = parse(text)
    function = find(name, kind)
    lacking = [one for one in set(options_of(function, without)) - set(defaults_of(function, without)) - set(options)]
    if lacking and name not in kind.table:
        raise ValueError(f"{kind.what} {name!r}: option {sorted(lacking)[0]} is missing")
    check_options(function, options, without, f"option of {kind.what} {name!r}: ")
    return functools.partial(function, **options) if options else function


def _kinds(parameter) -> tuple[type, ...]:
    # what the annotation says, else the type of the default; () for anything
    said = parameter.annotation
    kinds = typing.get_args(said) if isinstance(said, types.UnionType) else (said,)
    kinds = tuple(typing.get_origin(kind) or kind for kind in kinds)
    if all(kind in (*PLAIN, types.NoneType) for kind in kinds):
        return kinds
    if said is parameter.empty and type(parameter.default) in PLAIN:
        return (type(parameter.default),)
    return ()
