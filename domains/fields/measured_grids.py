"""A file or a dataset of fields that a user brings, NaN where nothing is known: on the model's grid, on blocks of it, or elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from domains.fields.format_compare import is_time
from domains.fields.layout import Layout
from domains.fields.matching import match
from domains.fields.naming import ERRORS, errors_in_units, in_units, names_of, refuse_fill, units_of, variable_of
from domains.fields.readers import is_sample, open_fields
from domains.fields.times import Times, as_times
from sciddm.data.reading import check_finite, index_of, listed, reading
from sciddm.data.units import factor
from sciddm.errors import UserError
from sciddm.given import say
from sciddm.named import near
from sciddm.transforms import transform


@dataclass(frozen=True, eq=False)
class Brought:
    """One variable of a file, in the model's units.

    values: (times, *blocks) float32 in the model's order, NaN where nothing is known; errors: like it, or a number, None: not given;
    factors: points of a block along each dimension of space; places: the coordinates of the file's axes where they are neither the
    model's grid nor blocks of it, else None; times: of the first axis, None: the file has none; timed: whether it has such an axis at all;
    partial: whether the file covers a part of the grid alone.
    """

    name: str
    source: str
    values: np.ndarray
    errors: np.ndarray | float | None
    factors: tuple[int, ...]
    places: tuple[np.ndarray, ...] | None
    times: Times | None
    timed: bool
    partial: bool = False


class Opened:
    """A file, store, folder or pattern, or a dataset: source, template (structure, coordinates, scalars) and `read`."""

    def __init__(self, thing, names):
        if isinstance(thing, (xr.Dataset, xr.DataArray)):
            self.source = f"a {type(thing).__name__}"
            self.template = _as_dataset(thing, names, self.source)
            self.read = self._read
        else:
            fields = open_fields(thing)
            self.source, self.template, self.read = fields.source, fields.template, fields.read

    def _read(self, name):
        values = self.template[name].values
        if values.dtype.kind not in "biuf":
            raise UserError(f"{self.source}: variable {name!r} holds {values.dtype}; expected numbers")
        values = np.asarray(values, np.float32)
        check_finite(self.source, name, values, missing=True)
        return values


def fields_of(opened: Opened, domain, layout: Layout, *, sums: bool = False) -> list[Brought]:
    """What of a file the model knows, variable by variable. Raises: UserError with the file, the variable, what was expected.

    sums: whether values of blocks are sums.
    """
    template, known, others = opened.template, {}, []
    for name in template.data_vars:
        try:
            own = variable_of(domain, str(name), opened.source)
        except UserError:
            others.append(name)
            continue
        if own in known:
            raise UserError(f"{opened.source}: {known[own]!r} and {name!r} both are the model's {own}; leave one of them out")
        known[own] = name
    if not known:
        found = listed({str(name): template[name] for name in template.data_vars})
        wanted, hint = ", ".join(domain.spellings), near(str(others[0]).lower(), domain.spellings) if others else ""
        raise UserError(f"{opened.source}: none of {wanted} is in it, found {found}{hint}")
    errors = {own: _error_of(opened, own, name, others) for own, name in known.items()}
    rest = [name for name in others if name not in errors.values() and template[name].ndim and not str(name).endswith(("_bnds", "_bounds"))]
    if rest:
        say(f"{opened.source}: not used: {', '.join(map(str, rest))}")
    return [_brought(opened, domain, layout, own, name, errors[own], sums) for own, name in known.items()]


def _error_of(opened, own, name, others):
    # The variable that is the error of another: u_error, u_std, sigma_u and the like.
    plain = {str(one).lower(): one for one in others}
    for of in (str(name).lower(), own.lower()):
        found = [plain[one] for end in ERRORS for one in (f"{of}_{end}", f"{end}_{of}") if one in plain]
        if len(found) > 1:
            raise UserError(f"{opened.source}: {found[0]!r} and {found[1]!r} both are errors of {name!r}; leave one of them out")
        if found:
            if str(found[0]).lower() != f"{of}_error":
                say(f"{opened.source}: {found[0]} is taken as the error of {name}, one standard deviation")
            return found[0]
    return None


def _brought(opened, domain, layout, own, name, error, sums) -> Brought:
    where, array = f"{opened.source}: variable {name!r}", opened.template[name]
    dims, time = _dims(opened, array, layout, where)
    order = ([time] if time else []) + [dims[dim] for dim in layout.space]
    axes = [_axis(opened, dims[dim], layout, dim) for dim in layout.space]
    found = [match(layout, dim, at, array.sizes[dims[dim]], where) for dim, at in zip(layout.space, axes, strict=True)]
    whole = all(one is not None for one in found)

    def arranged(values, of):
        # (times, *space) in the model's order
        kept = [dim for dim in of.dims if dim in order]
        values = values.reshape([of.sizes[dim] for dim in kept])
        if set(kept) != set(order):
            raise UserError(f"{opened.source}: variable {of.name!r} lies on {of.dims}; expected the dimensions of {name!r}, {array.dims}")
        values = values.transpose([kept.index(dim) for dim in order])
        for i, one in enumerate(found if whole else ()):
            values = one.laid(values, i + bool(time))
        return values if time else values[None]

    values = np.asarray(opened.read(name))
    raw, stated = values, array.attrs.get("units")
    sums = sums and whole and any(one.factor > 1 for one in found)
    if sums and stated and units_of(layout, own):
        factor(stated, units_of(layout, own), f"{where}: a sum", way_out="give means")
    values = in_units(values, stated, units_of(layout, own), where)
    label = lambda i: f"{where}, index {tuple(int(k) for k in np.unravel_index(i, raw.shape))}"  # noqa: E731
    refuse_fill(domain, layout, own, raw, values, label, "write NaN, or name it in _FillValue")
    values = arranged(np.asarray(values, np.float32), array)
    if np.isnan(values).all():
        raise UserError(f"{where} is NaN everywhere, so that nothing is known; expected some values")
    if not sums:
        _refuse_outside(domain, layout, own, raw, in_units(raw, stated, units_of(layout, own), where), label)
    errors = None if error is None else _errors(opened, error, array, own, layout, arranged, values)
    times = None
    if time and time in opened.template.coords:
        coordinate = opened.template[time]
        times = as_times(coordinate.values, coordinate.attrs.get("units"), layout, f"{opened.source}: {time}")
    elif not time:
        times = _only_time(opened, array, layout)
    factors = tuple(one.factor for one in found) if whole else (1,) * len(found)
    partial = whole and any(one.partial for one in found)
    return Brought(own, opened.source, values, errors, factors, None if whole else _places(layout, axes), times, bool(time), partial)


def _dims(opened, array, layout, where) -> tuple[Mapping[str, str], str]:
    # ({dimension of space: the file's}, the file's dimension of time or "")
    left = [dim for dim in array.dims]
    plain, found = {str(dim).lower().replace(" ", "_"): dim for dim in left}, {}
    for dim in layout.space:
        name = next((plain[one] for one in names_of(layout, dim) if one in plain), None)
        if name is not None:
            found[dim] = name
            left.remove(name)
    time = next((dim for dim in left if str(dim) == layout.time or is_time(opened.template, dim)), "")
    nameless = [dim for dim in left if str(dim).startswith("axis_") and array.sizes[dim] > 1]
    if not found and nameless and len(nameless) in (len(layout.space), len(layout.space) + 1):
        time = nameless.pop(0) if len(nameless) > len(layout.space) else time
        found = dict(zip(layout.space, nameless, strict=True))
        say(f"{where} has axes without names: taken as {', '.join(map(str, layout.space))}, in this order")
        left = [dim for dim in left if dim not in found.values()]
    lacking = [dim for dim in layout.space if dim not in found]
    extra = [dim for dim in left if array.sizes[dim] > 1 and (dim != time or not layout.frames)]
    if lacking or extra:
        there = ", ".join(f"{dim} ({array.sizes[dim]})" for dim in array.dims)
        expected = ", ".join([*([layout.time] if layout.frames else []), *map(str, layout.space)])
        hint = ""
        if extra and not lacking:
            what = "times" if extra[0] == time else "samples" if is_sample(extra[0]) else "entries"
            hint = f"; take one of the {what} along {extra[0]!r} first"
        raise UserError(f"{where} lies on {there or 'no dimension'}; expected {expected}{hint}")
    return found, time


def _axis(opened, dim, layout, own):
    # (n,) in the model's units, None where the file says nothing
    template = opened.template
    if dim not in template.coords or template[dim].dtype.kind not in "iuf":
        return None
    stated, what = template[dim].attrs.get("units"), f"{opened.source}: {dim}"
    return np.asarray(in_units(template[dim].values, stated, units_of(layout, own), what), float)


def _places(layout, axes):
    return tuple(layout.coordinate(dim) if at is None else at for dim, at in zip(layout.space, axes, strict=True))


def _only_time(opened, array, layout):
    # Of a single time that stands beside a field, as xarray leaves it when one of many is taken.
    for name, one in array.coords.items():
        if not one.ndim and (name == layout.time or one.dtype.kind == "M"):
            return as_times(one.values.reshape(1), one.attrs.get("units"), layout, f"{opened.source}: {name}")
    return None


def _errors(opened, error, array, own, layout, arranged, values):
    where, of = f"{opened.source}: variable {error!r}", opened.template[error]
    found = np.asarray(of.values if not of.ndim else opened.read(error), float)
    stated = of.attrs.get("units") or array.attrs.get("units")
    found = np.asarray(errors_in_units(found, stated, units_of(layout, own), where), float)
    found = arranged(found, of) if of.ndim and found.size > 1 else found.reshape(-1)[0]
    wrong = ~(np.broadcast_to(found, values.shape) > 0) & ~np.isnan(values)
    if wrong.any():
        value, at = np.broadcast_to(found, values.shape)[wrong][0], index_of(wrong if len(wrong) > 1 else wrong[0])
        raise UserError(f"{where} is {value:g} at index {at}; expected one standard deviation, above 0, at every value")
    return found


def _refuse_outside(domain, layout, own, raw, values, label) -> None:
    if own not in layout.variables:
        return
    raw, values = np.ravel(raw), np.ravel(values)
    one = transform(domain.normalizer.transforms[layout.variables.index(own)])
    wrong = ~np.isnan(values) & ~((values > one.low) & (values < one.high))
    if wrong.any():
        raise UserError(
            f"{label(int(np.argmax(wrong)))} is {raw[wrong][0]:g}; expected values within ({one.low:g}, {one.high:g}) "
            f"{units_of(layout, own)}, as its transform in the model asks: NaN where it was too little to be measured, or points in a table"
        )


def _as_dataset(thing, names, source) -> xr.Dataset:
    if isinstance(thing, xr.DataArray):
        if thing.name is None and len(names) != 1:
            raise UserError(f"{source}: has no name; expected one of {', '.join(names)}: array.rename(NAME)")
        thing = thing.to_dataset(name=thing.name or names[0])
    with reading(source, "can't be decoded"):
        decoded = xr.decode_cf(thing, decode_timedelta=False)
        ends = tuple(f"_{end}" for end in ERRORS)
        return decoded.reset_coords([name for name in decoded.coords if name not in decoded.dims and str(name).lower().endswith(ends)])
