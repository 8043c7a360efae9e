"""The frames that a user brings, of any format that the reader knows: the newest ones, in dBZ, with their times and their place."""

import glob
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from domains.weather import formats, readers
from domains.weather.archive import step_of, whole_seconds
from domains.weather.coded import Meant, Said, values_of, with_meaning
from domains.weather.header import Header
from sciddm.data.coding import CODED_BY, spelled
from sciddm.data.reading import reading
from sciddm.data.tables import as_utc, is_table
from sciddm.errors import UserError
from sciddm.given import Thing, refuse, say

NAMES = ("at", "now", "variable", "units", "missing", "valid", "absent_chunks")  # of name=value
# What an archive's own keys are called where frames are given.
SPELLED = {
    "config.data.path = ": "--given ", "set --config.data.": "add --given ", "--config.data.": "--given ",
    "config.data.variable = ": "--given variable=",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Frames:
    """values: (T, Y, X) dBZ, no echo 0, missing NaN, from south to north; times: (T,) datetime64[s], rising; unit: what the file has."""

    values: np.ndarray
    times: np.ndarray
    header: Header
    unit: str
    source: str
    older: int = 0  # frames there were before them
    mixed: bool = False  # whether some are in dBZ and some are rates

    def __len__(self):
        return len(self.times)

    @property
    def step(self) -> float | None:
        """Minutes, `archive.step_of` the times; None of a single frame."""
        return step_of(self.times) if len(self) > 1 else None

    def cut(self, row: int, column: int, height: int, width: int) -> "Frames":
        """A window of the grid."""
        values = self.values[:, row : row + height, column : column + width]
        return replace(self, values=values, header=self.header.cut(row, column, height, width))


def sort_out(given: Sequence[Thing], takes: str, names: Sequence[str]) -> tuple[list[Thing], list[Thing], dict[str, str]]:
    """(frames, tables, options by name) of what was given. Raises: UserError on what is neither, or named twice."""
    frames, tables, options = [], [], {}
    for thing in given:
        if thing.name:
            if thing.name not in names:
                refuse(thing, takes, names)
            if thing.name in options:
                raise UserError(f"--given {thing}: {thing.name} is given twice; leave one out")
            value = ",".join(map(str, thing.value)) if isinstance(thing.value, (list, tuple)) else thing.value
            options[thing.name] = value if is_table(value) else str(value)
        elif is_table(thing.value) and thing.text is None:
            tables += _each(thing)
        elif thing.path is not None or isinstance(thing.value, (xr.Dataset, xr.DataArray)):
            frames.append(thing)
        else:
            refuse(thing, takes, names)
    if not frames:
        raise UserError(f"--given {', '.join(map(str, given))}: no frames among it; expected {takes}")
    return frames, tables, options


def _each(thing):
    # A pattern of tables, one by one.
    if thing.path is None or thing.path.exists():
        return [thing]
    return [Thing(Path(name)) for name in sorted(glob.glob(str(thing.path.expanduser())))]


def read_frames(things: Sequence[Thing], count: int, options, data) -> Frames:
    """The newest `count` frames of all files together, up to `now` where options say so; data: config.data, whose variable and units serve
    where the file doesn't tell.

    Raises: UserError naming the file.
    """
    now, parts, first = None, [], None
    if "now" in options:
        now = as_utc(options["now"], "--given now")
    said = _said(options, data)
    unit, late, total, kinds = "", 0, 0, set()
    for file, array in _opened(things, options, data, said):
        header, plain = Header.of(file, array), readers.canonical(file, array)
        if plain["time"].dtype.kind != "M":
            raise UserError(f"{file}: the times are no dates (such as {plain['time'].values[0]}); expected CF times")
        readers.check_years(file, plain["time"].values)
        first = _same(file, header, first)
        with _as_given():
            unit = readers.unit_of(file, plain, options.get("units", "" if plain.attrs.get("units") else data.units))
        kinds.add(unit == "dbz")
        times = whole_seconds(plain["time"].values)
        fine = np.flatnonzero(times <= now) if now is not None else np.arange(len(times))
        late, total = late + len(times) - len(fine), total + len(fine)
        newest = fine[np.argsort(times[fine], kind="stable")][-count:]
        if np.isnat(times).any():
            raise UserError(f"{file}: frame {int(np.isnat(times).argmax())} has no time; expected a date for every frame")
        for i in newest:
            frame = plain.isel(time=slice(i, i + 1))
            parts.append((times[i], _values(file, frame, unit, int(i), said), file))
        parts = sorted(parts, key=lambda part: part[0])[-count - 1 :]
    source = str(things[0]) if len(things) == 1 else f"{things[0]} and {len(things) - 1} more"
    if not parts:
        raise UserError(f"{source}: no frame{f' up to {now}' if now is not None else 's'}; expected some")
    for before, after in zip(parts[:-1], parts[1:], strict=True):
        if before[0] == after[0]:
            raise UserError(f"{after[2]}: the frame of {after[0]} is there twice, also in {before[2]}; leave one out")
    if first[1].unknown:
        what = f"the grid mapping {first[1].mapping!r} lacks something or is not known"
        say(f"{source}: {what}; where on the Earth its pixels lie is not told")
    if late:
        say(f"{source}: {late} frames later than now, {now}, are left out")
    parts = parts[-count:]
    values, times = np.concatenate([p[1] for p in parts]), np.array([p[0] for p in parts])
    return Frames(values, times, first[1], unit, source, total - len(parts), len(kinds) > 1)


def _values(file, frame, unit, start, said):
    lowest = float(frame.attrs.get("no_echo", 0.0))
    with _as_given():
        if unit == "dbz" and lowest < 0:  # as we write block means, in which no echo counts so much
            return np.maximum(values_of(file, frame), np.float32(lowest))
        return readers.dbz_of(file, frame, unit, start, said)


def _said(options, data) -> Said:
    # What --given says of the files, else what the model's own config does.
    typed = {name: options[name] for name in Said._fields if name in options}
    for name in ("missing", "valid"):
        if name in typed:
            try:
                typed[name] = tuple(float(part) for part in typed[name].strip("()").split(",") if part.strip())
            except ValueError:
                raise UserError(f"--given {name}={typed[name]}: expected numbers, such as {name}=0,80") from None
    return Said.of(dict(data) | typed).checked("--given ")


def _opened(things, options, data, said):
    for thing in things:
        with _as_given():
            if thing.path is None:
                yield str(thing), _object(thing, said._replace(variable=options.get("variable", "")))
                continue
            try:
                yield from formats.open_parts(thing.path, said._replace(variable=options.get("variable", "")))
            except UserError:
                if "variable" in options or not data.variable:
                    raise
                yield from formats.open_parts(thing.path, said)


def _object(thing, said) -> xr.DataArray:
    # The field of a data set, packed and undecoded as it may have been opened, or decoded.
    whole = thing.value if isinstance(thing.value, xr.Dataset) else thing.value.to_dataset(name=thing.value.name or "frames")
    with reading(str(thing)):
        found = formats.pick_field(str(thing), xr.decode_cf(whole, decode_timedelta=False), said.variable)
    own = whole[found.name]
    packed = {key: value for key, value in own.encoding.items() if key in CODED_BY}
    dtype = own.encoding.get("dtype", own.dtype) if packed else own.dtype
    raw = own.dtype.kind in "iu" or not packed
    meant = Meant.of(packed | spelled(own.attrs), dtype, said, decoded=not raw)
    return with_meaning(found.copy(data=own.data) if raw else found, meant)


def _same(file, header, first):
    if first is not None and (header.shape != first[1].shape or abs(header.spacing / first[1].spacing - 1) > 1e-3):
        raise UserError(
            f"{file}: a grid of {header.shape} pixels of {header.spacing:.4g} km, but {first[1].shape} of {first[1].spacing:.4g} km in "
            f"{first[0]}; expected the same grid in all files"
        )
    if first is not None and not header.lies_where(first[1]):
        raise UserError(
            f"{file}: its first pixel lies at {header.in_words(0, 0)}, but at {first[1].in_words(0, 0)} in {first[0]}; expected the same "
            "grid in all files"
        )
    return first or (file, header)


@contextmanager
def _as_given():
    # The readers' lines, in the words of --given.
    try:
        yield
    except UserError as error:
        text = str(error)
        for key, spelling in SPELLED.items():
            text = text.replace(key, spelling)
        raise UserError(text) from error
