"""A table of values at points, `variable, <coordinates>, value[, error][, units]`, as readings of a model's variables in its own units."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from domains.fields.layout import Layout
from domains.fields.naming import (
    ERRORS,
    FILL,
    errors_in_units,
    in_units,
    names_of,
    refuse_fill,
    say,
    say_default_error,
    say_what_is_far,
    units_of,
    variable_of,
)
from domains.fields.observations import Points
from domains.fields.times import Times, are_dates, as_times, fractions
from sciddm.data.tables import NUMBER, Table
from sciddm.data.units import same
from sciddm.errors import UserError
from sciddm.named import near

VARIABLE, VALUE = ("variable", "var", "quantity", "parameter"), ("value", "values", "measured")
UNITS = ("units", "unit")
ERROR = (*ERRORS, *(f"value_{one}" for one in ERRORS))
TIMES = ("time", "times", "date", "datetime", "timestamp")


def readings_of(table: Table, domain, layout: Layout, noise: float) -> tuple[Points, Times | None]:
    """(values at points, their times as they stand) of a table; `Points.times` is left open until it is known when a window begins.

    noise: share of a variable's standard deviation that stands for its error where the table has none.
    Raises: UserError with the file and the line, the column and what was expected.
    """
    value = _value_column(table, domain, layout)
    names = _variables(table, domain, layout)
    channel = np.array([layout.variables.index(name) for name in layout.variables if name in set(names)])
    each = {name: c for name, c in zip([n for n in layout.variables if n in set(names)], channel, strict=True)}
    channel = np.array([each[name] for name in names])
    used = {value, table.find(VARIABLE), table.find(ERROR), table.find(UNITS)}
    values, errors = _measured(table, domain, layout, value, names, channel, noise)
    places, columns = _places(table, layout)
    times, column = _times(table, layout)
    _refuse_misspelt(table, layout, used | set(columns) | {column})
    say_what_is_far(domain, layout, channel, values, table.where)
    _say_twice(table, channel, places, times)
    return Points(channel, places, None, values, errors, table.where), times


def _value_column(table, domain, layout) -> str:
    found = table.find(VALUE)
    if found is None:
        wide = [name for name in table.columns if name.lower() in {str(one).lower() for one in layout.variables}]
        if wide:
            dims = ", ".join(map(str, layout.space))
            raise UserError(
                f"{table.source}: no column 'value', but one of {wide[0]!r}; expected a row a value: variable, {dims}, value, and error"
            )
    return table.need(VALUE, "what was measured")


def _variables(table, domain, layout) -> np.ndarray:
    # (n,) the model's own names
    column = table.find(VARIABLE)
    if column is None:
        if len(layout.variables) > 1:
            table.need(VARIABLE, f"which of {', '.join(layout.variables)} was measured")
        return np.array([layout.variables[0]] * len(table), object)
    names = table.text(column)
    own = {}
    for name in dict.fromkeys(names.tolist()):
        where = table.where(int(np.argmax(names == name)))
        own[name] = variable_of(domain, name, f"{where}: {column}")
        if own[name] in layout.conditions:
            raise UserError(f"{where}: {own[name]!r} is a condition of the model; give all of it in a file on the model's grid")
    return np.array([own[name] for name in names.tolist()], object)


def _measured(table, domain, layout, column, names, channel, noise):
    # (values, errors) in the model's units
    values = _numbers(table, column, "leave the row out")
    units_column, errors_column = table.find(UNITS), table.find(ERROR)
    stated = table.text(units_column) if units_column else np.full(len(table), "", object)
    above = table.units.get(column, "")
    _refuse(
        table, np.array([bool(one and above) and not same(one, above) for one in stated.tolist()]),
        lambda i: f"{column} is in {stated[i]!r} by the column {units_column!r}, and in {above!r} by the header; leave one of them out",
    )  # fmt: skip
    stated = np.array([one or above for one in stated.tolist()], object)
    errors = None
    if errors_column:
        both = [name for name in table.columns if name.lower().replace(" ", "_") in ERROR]
        if len(both) > 1:
            raise UserError(f"{table.source}: columns {both[0]!r} and {both[1]!r} are both errors; leave one of them out")
        errors = _numbers(table, errors_column, "give one for every row, or leave the column out")
        _refuse(table, errors <= 0, lambda i: f"{errors_column} is {errors[i]:g}; expected one standard deviation, above 0")
    values = values.copy()
    for name, unit in {pair: None for pair in zip(names.tolist(), stated.tolist(), strict=True)}:
        rows = (names == name) & (stated == unit)
        what = f"{table.where(int(np.argmax(rows)))}: {name}"
        raw, at = values[rows], np.flatnonzero(rows)
        values[rows] = in_units(raw, unit, units_of(layout, name), what)
        place = lambda i, at=at: f"{table.where(int(at[i]))}: {column}"  # noqa: E731
        refuse_fill(domain, layout, name, raw, values[rows], place, "leave the row out")
        if errors is not None:
            of_errors = table.units.get(errors_column) or unit
            errors[rows] = errors_in_units(errors[rows], of_errors, units_of(layout, name), f"{what}: {errors_column}")
    if errors is None:
        errors = noise * np.asarray(domain.scales, float)[channel]
        say_default_error(domain, layout, table.source, np.unique(channel), noise)
    return values, errors


def _places(table, layout):
    # ((n, d) in the model's units, the columns they come from)
    columns, found = [], []
    for dim in layout.space:
        own, values = units_of(layout, dim), layout.coordinate(dim)
        span = f"{values.min():g} to {values.max():g} {own.removeprefix('1')}".rstrip()
        column = table.need(names_of(layout, dim), f"where along {dim}, {span}, it was measured")
        numbers = _numbers(table, column, "leave the row out")
        found.append(in_units(numbers, table.units.get(column), own, f"{table.source}: {column}"))
        columns.append(column)
    return np.stack(found, -1).astype(float), columns


def _times(table, layout) -> tuple[Times | None, str | None]:
    names = (*((layout.time.lower(),) if layout.time else ()), *TIMES)
    column = table.find(names)
    if column is None:
        if not layout.frames:
            return None, None
        length = f"{layout.step * (layout.frames - 1):g} {layout.time_units}".strip()
        table.need(names, f"when it was measured, 0 to {length} after the first frame, or a date")
    gone = table.missing(column)
    _refuse(table, gone, lambda i: f"{column} is missing; leave the row out")
    cell = table.columns[column][0]
    plain = isinstance(cell, str) and bool(NUMBER.fullmatch(cell.strip())) or isinstance(cell, (int, float, np.number))
    if isinstance(cell, timedelta):
        raw = table.columns[column].astype("timedelta64[ns]")
    elif plain and (column in table.units or not are_dates(table.columns[column])):
        raw = table.numbers(column)
    else:
        raw = table.times(column).astype("datetime64[ns]") + fractions(table.columns[column])
    times = as_times(raw, table.units.get(column), layout, f"{table.source}: {column}")
    if not layout.frames and len(np.unique(raw)) > 1:
        raise UserError(
            f"{table.source}: {column} has {len(np.unique(raw))} times, but a sample of this model is a single one; give those of one time"
        )
    return times, column


def _numbers(table, column, way_out) -> np.ndarray:
    found = table.numbers(column)
    _refuse(table, np.isnan(found), lambda i: f"{column} is missing; {way_out}")
    _refuse(table, np.abs(found) >= FILL, lambda i: f"{column} is {found[i]:g}, which stands for a missing one; {way_out}")
    return found


def _refuse(table, wrong, what) -> None:
    if wrong.any():
        i = int(np.argmax(wrong))
        raise UserError(f"{table.where(i)}: {what(i)}")


def _refuse_misspelt(table, layout, used: Sequence) -> None:
    # A column that is nearly one of ours, such as "eror", is meant to be it; any other, such as a station's name, is left alone.
    others = [name for name in table.columns if name not in used and not name.lower().startswith(("unnamed:", "index"))]
    absent = [names[0] for names in (VARIABLE, ERROR, UNITS) if table.find(names) is None]
    for name in others:
        if len(name) > 3 and (hint := near(name.lower(), absent)):
            raise UserError(f"{table.source}: no column {name!r} is known{hint} Rename it, or leave it out")
    if others:
        say(f"{table.source}: not used: {', '.join(others)}")


def _say_twice(table, channel, places, times) -> None:
    columns = [channel[:, None].astype(float), places] + ([] if times is None else [times.numbers[:, None]])
    _, first, back, many = np.unique(np.concatenate(columns, 1), axis=0, return_index=True, return_inverse=True, return_counts=True)
    if (many > 1).any():
        again = int(np.argmax(many > 1))
        rows = np.flatnonzero(back.ravel() == again)[:2]
        say(
            f"{table.where(int(rows[1]))}: the same variable, place{' and time' if times is not None else ''} as {table.counted} "
            f"{table.lines[rows[0]]} ({int((many - 1).sum())} such rows): kept, as independent measurements"
        )
