"""Names and units of what a user brings, brought to those of a model: variables and dimensions whatever their case, units converted."""

from collections.abc import Iterable

import numpy as np

from domains.fields.layout import Layout, is_latitude, is_longitude
from sciddm.data.units import NONE, convert, same
from sciddm.errors import UserError
from sciddm.given import say
from sciddm.named import near

FILL = 1e20  # from here on a number stands for a missing one
FILLS = [-32768.0, -32767.0, 32767.0, *(sign * (10.0**n - 1) for n in range(3, 8) for sign in (1, -1))]  # so do these, far from all others
ERRORS = ("error", "errors", "err", "std", "stdev", "std_dev", "sd", "sigma", "uncertainty", "standard_deviation", "standard_error")
LONGITUDES, LATITUDES = ("lon", "longitude", "long"), ("lat", "latitude")


def variable_of(domain, name: str, where: str) -> str:
    """The model's own name of a variable or condition. Raises: UserError with the near match where there is none."""
    known = domain.spellings
    plain = {str(own).lower(): own for own in known}
    for own, others in known.items():
        for other in others:
            plain.setdefault(other.lower(), own)
    if name in known:
        return name
    found = plain.get(name.strip().lower())
    if found is None:
        raise UserError(f"{where}: no variable {name!r} in the model; expected one of {', '.join(known)}{near(name.lower(), plain)}")
    return found


def names_of(layout: Layout, dim: str) -> tuple[str, ...]:
    """How a dimension may be called, in lower case, its own name first."""
    attrs = layout.header[dim].attrs if dim in layout.header.coords else {}
    others = LONGITUDES if is_longitude(dim, attrs) else LATITUDES if is_latitude(dim, attrs) else ()
    return tuple(dict.fromkeys((str(dim).lower().replace(" ", "_"), *others)))


def units_of(layout: Layout, name: str) -> str:
    """Of a variable or a dimension, "" where the data say nothing; longitudes and latitudes are degrees in any case."""
    attrs = layout.header[name].attrs if name in layout.header.variables else {}
    turned = name in layout.space and name in layout.header.coords and (is_longitude(name, attrs) or is_latitude(name, attrs))
    return str(attrs.get("units", "")) or ("degrees" if turned else "")


def in_units(values, stated: str | None, own: str, what: str):
    """Values in the model's units; the same where the one or the other is not stated. Raises: UserError on units of another kind."""
    if not str(stated or "").strip():
        return values
    if not own:
        if stated not in NONE:
            say(f"{what} is in {stated!r}, and the model's data state no units: taken as it is")
        return values
    return convert(np.asarray(values, float), stated, own, what, way_out=f"give it in {own!r}")


def errors_in_units(errors, stated: str | None, own: str, what: str):
    """Standard deviations in the model's units, as differences of values: zeros that differ, as of degC and K, are none of theirs."""
    if not stated or not own or same(stated, own):
        return errors
    zero, one = (convert(x, stated, own, what, way_out=f"give it in {own!r}") for x in (0.0, 1.0))
    return np.asarray(errors, float) * abs(one - zero)


def refuse_fill(domain, layout: Layout, name: str, raw, values, label, way_out: str) -> None:
    """Raises: UserError of numbers that stand for a missing one: 1e20 and more, or -9999 and its like far from the training data.

    raw: as they stand; values: the same in the model's units; label: of a flat index.
    """
    raw, values = np.ravel(raw), np.ravel(values)
    wrong = np.abs(raw) >= FILL
    if name in layout.variables:
        c = layout.variables.index(name)
        beyond = 0.5 * (domain.facts.most[c] - domain.facts.least[c])
        far = (values < domain.facts.least[c] - beyond) | (values > domain.facts.most[c] + beyond)
        wrong = wrong | (far & np.isin(raw, FILLS))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise UserError(f"{label(i)} is {raw[i]:g}, which stands for a missing one; {way_out}")


def say_what_is_far(domain, layout: Layout, channel, values, label) -> None:
    """On stderr, of values further outside of the training data's range than half of it. channel, values: (m,); label: of value i."""
    least, most = domain.facts.least[channel], domain.facts.most[channel]
    beyond = 0.5 * (most - least)
    far = (values < least - beyond) | (values > most + beyond)
    for c in np.unique(channel[far]):
        here = np.flatnonzero(far & (channel == c))
        name, i = layout.variables[c], here[0]
        many = f"{label(i)}: {values[i]:.6g}" + (f" and {len(here) - 1} more" if len(here) > 1 else "")
        say(
            f"{many}: {name} was {domain.facts.least[c]:.4g} to {domain.facts.most[c]:.4g} {layout.units(name)} in training; far outside "
            "of that the model knows nothing"
        )


def say_default_error(domain, layout: Layout, source: str, channels: Iterable[int], noise: float) -> None:
    """On stderr, what stands where no error was given."""
    each = ", ".join(f"{noise * domain.scales[c]:.3g} {layout.units(layout.variables[c])} of {layout.variables[c]}" for c in channels)
    say(f"{source}: no error is given; taken as {noise:.3g} standard deviations of the training data, {each}")
