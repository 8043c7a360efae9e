"""The user's own radar archive: any file of `formats`, put in canonical order, converted to dBZ by units that are stated, packed."""

import numpy as np
import xarray as xr

from domains.weather import formats
from domains.weather.archive import Archive, pack
from domains.weather.coded import Said, check_frames, meant_by, values_of
from domains.weather.transform import reflectivity
from sciddm.data.reading import check_finite, even_step, index_of
from sciddm.data.units import same
from sciddm.errors import UserError

# mm/h of one unit, in the spelling of `formats.plain_units`.
RATES = {
    "mm/h": 1, "mm h-1": 1, "kg m-2 h-1": 1, "kg/m2/h": 1, "kg m-2 s-1": 3600, "kg/m2/s": 3600, "mm/s": 3600, "mm s-1": 3600,
    "m/s": 3.6e6, "m s-1": 3.6e6, "mm/5min": 12, "mm/5 min": 12, "mm/10min": 6, "mm/10 min": 6, "mm/15min": 4, "mm/15 min": 4,
}  # fmt: skip
COLUMN = 5000.0  # m; depth of the column that "vil" is spread over, by which SEVIR's largest, 79 kg m-2, is 64 dBZ
LOWEST, HIGHEST = -60.0, 80.0  # dBZ; what lies outside is a code for missing that the file doesn't declare
MOST_RAIN = 2000.0  # mm/h; more has fallen in no minute
SUSPECT = 60.0  # dBZ; above it the last number of an integer type is a code for missing, too
PACKED = 300.0  # dBZ; the archive's own numbers end there
CALENDARS = {"standard", "gregorian", "proleptic_gregorian"}
YEARS = np.datetime64("1930"), np.datetime64("2200")  # between which frames of radar are
BLOCK = 2**19  # pixels converted at a time, as many as the processor keeps at hand
KILOMETRES = {"m": 1e-3, "km": 1.0, "degrees": 111.195}
AXES = {
    "time": ("T", {"time"}, {"time", "timestep", "valid_time", "step", "t"}),
    "y": ("Y", {"projection_y_coordinate", "latitude", "grid_latitude"}, {"y", "lat", "latitude", "rlat", "northing"}),
    "x": (
        "X",
        {"projection_x_coordinate", "longitude", "grid_longitude"},
        {"x", "lon", "longitude", "rlon", "easting"},
    ),
}


def read_archive(path, *, units: str = "", crop=None, **said) -> Archive:
    """The frames at `path` as reflectivity: no echo 0 dBZ, missing (NaN, _FillValue, nodata) stays missing.

    dBZ are taken as they are, those below 0 as no echo. Rain rates by Z = 200 R^1.6 (Marshall & Palmer 1948), `transform.reflectivity`.
    Vertically integrated liquid (SEVIR) is no reflectivity. Only where `units` says "vil" is it turned into that of a uniform column:
        Z = (VIL / (3.44e-6 h))^(7/4), h = 5000 m        (Greene & Clark 1972, VIL = 3.44e-6 int Z^(4/7) dh in kg m-2)
    Grids: evenly spaced, square to 5 % where projected; latitudes and longitudes count by the mean pixel at their middle.
    Args:
        path: .zarr, .nc, .grib, .h5 (SEVIR, ODIM, netCDF), a folder of one kind, or a pattern; units: what the values are in, in place
            of what the file says; crop: (y0, x0, height, width) pixels to keep; said: variable, missing and others, see `coded.Said`.
    Raises: UserError naming the file, the variable and the index at fault.
    """
    said, parts, first = Said(**said), [], None
    for file, part in formats.open_parts(path, said):
        array = _cropped(file, canonical(file, part), crop)
        check_frames(file, array, 2, "read a part of the grid, such as by --config.data.crop=0,0,256,256")
        if array["time"].dtype.kind != "M":
            raise UserError(
                f"{file}: the times of {array.name!r} are no dates (such as {array['time'].values[0]}); "
                "expected CF times, with units such as 'minutes since 2024-05-01'"
            )
        check_years(file, array["time"].values)
        if first is None or file != first[0]:
            first, done = _same_grid(file, array, mapping_of(part), first), 0
        unit = unit_of(file, array, units)
        frames = np.empty(array.shape, np.int16)
        # Never less than a chunk, or each would be unpacked many times.
        chunk = (array.encoding.get("chunks") or array.encoding.get("chunksizes") or (1,))[0]
        block = max(BLOCK // array[0].size, chunk, 1)
        for start in range(0, len(array), block):
            frames[start : start + block] = pack(dbz_of(file, array[start : start + block], unit, done + start, said))
        parts.append((array["time"].values, frames))
        done += len(frames)
    parts.sort(key=lambda each: each[0][0])
    joined = [each[0] if len(each) == 1 else np.concatenate(each) for each in zip(*parts, strict=True)]
    note = "vil, as reflectivity of a uniform column of 5 km" if unit == "vil" else f"{array.name} [{unit}]"
    return Archive(joined[1], joined[0], first[2], source=f"{path}: {note}")


def read_sequence(path, variable: str = "") -> xr.DataArray:
    """Any field of the files, in its own units: (time, y, x) float32, y northwards, x eastwards, NaN where missing.

    Coordinates keep their units; times without units stay the numbers they are. Raises: UserError as `read_archive`.
    """
    parts = []
    for file, part in formats.open_parts(path, Said(variable)):
        array = canonical(file, part)
        check_frames(file, array, 4, "read a part of it")
        parts.append(array.copy(data=values_of(file, array)))
        check_finite(file, array.name, parts[-1].values, missing=True)
        if parts[-1].shape[1:] != parts[0].shape[1:]:
            raise UserError(
                f"{file}: grid {array.shape[1:]}, but {parts[0].shape[1:]} in the first file; expected the same"
            )
    parts.sort(key=lambda each: each["time"].values[0])
    return parts[0] if len(parts) == 1 else xr.concat(parts, "time", join="override", combine_attrs="override")


def canonical(file, array: xr.DataArray) -> xr.DataArray:
    """`array` as (time, y, x), both axes rising, longitudes unwrapped; nothing is read. Raises: UserError if it has no such axes."""
    array, (t, y, x) = axes_of(file, array)
    dated = array[t]
    if "valid_time" in array.coords and array["valid_time"].dims == (t,):
        dated = array["valid_time"]
    there = {dim: {} if dim in array.coords else {"units": "pixels"} for dim in (t, y, x)}  # counted, whatever they are called
    coords = {"time": _dates(dated.variable), "y": array[y].variable, "x": array[x].variable}
    if (name := getattr(next(iter(dated.values.flat), None), "calendar", "standard")) not in CALENDARS:
        raise UserError(
            f"{file}: its times are in the calendar {name!r}; expected 'standard': a radar sees the days that there are, convert them first"
        )
    array = array.transpose(t, y, x).reset_coords(drop=True)
    array = array.rename({old: new for old, new in ((t, "time"), (y, "y"), (x, "x")) if old != new})
    array = array.assign_coords(
        {k: ((k,), v.values, v.attrs | {"name": old} | there[old]) for (k, v), old in zip(coords.items(), (t, y, x), strict=True)}
    )
    for dim in ("y", "x"):
        values = array[dim].values
        if dim == "x" and in_degrees(array[dim]):
            values = values.astype(float) if values.dtype.kind in "iu" else values  # a byte holds no 360
            if np.sum(np.diff(values) < 0) > len(values) / 2:
                array, values = array.isel(x=slice(None, None, -1)), values[::-1]
            values = values[0] + (values - values[0]) % 360
            array = array.assign_coords(x=("x", values, array["x"].attrs))
        elif len(values) > 1 and values[0] > values[-1]:
            array = array.isel({dim: slice(None, None, -1)})
    return array


def check_years(file, times) -> None:
    """That radar was there at times (n,) datetime64. Raises: UserError where their units or their type make them of another century."""
    bad = (times < YEARS[0]) | (times >= YEARS[1])
    if bad.any():
        when = times[int(bad.argmax())].astype("datetime64[s]")
        expected = f"expected one of {YEARS[0]} to {YEARS[1]}, check the units of its times"
        raise UserError(f"{file}: frame {int(bad.argmax())} is of {when}; {expected}")


def _dates(variable):
    # Of any calendar, as far as its days are days of ours.
    if variable.dtype.kind != "O":
        return variable
    try:
        return variable.copy(data=np.array([when.isoformat() for when in variable.values], "datetime64[us]"))
    except (AttributeError, ValueError):
        return variable


def axes_of(file, array: xr.DataArray) -> tuple[xr.DataArray, tuple[str, str, str]]:
    """`array` without dimensions of one point that are none of these, and the names of its dimensions of time, y and x.

    Raises: UserError if it has no such axes.
    """
    array = array.squeeze([d for d in array.dims if array.sizes[d] == 1 and not any(_is(array, d, a) for a in AXES)])
    dims = {axis: [dim for dim in array.dims if _is(array, dim, axis)] for axis in AXES}
    if not dims["time"] and "time" in array.coords and not array["time"].ndim:
        array, dims["time"] = array.expand_dims("time"), ["time"]
    if len(array.dims) != 3 or any(len(found) != 1 for found in dims.values()):
        others = [str(dim) for dim in array.dims if not any(dim in found[:1] for found in dims.values())]
        way_out = f"keep one entry of {others[0]!r} alone" if len(array.dims) > 3 else "call them so"
        raise UserError(
            f"{file}: variable {array.name!r} has dimensions {tuple(map(str, array.dims))}; expected time, y and x, "
            f"by their names or standard_name; {way_out} in the file"
        )
    (t,), (y,), (x,) = dims.values()
    return array, (t, y, x)


def _is(array, dim, axis):
    letter, standard_names, names = AXES[axis]
    coordinate = array.coords.get(dim)
    attrs = {} if coordinate is None else coordinate.attrs
    said = str(attrs.get("standard_name") or attrs.get("axis") or "")
    if said in {n for _, known, _ in AXES.values() for n in known} or said in {"T", "Y", "X"}:
        return said == letter or said in standard_names
    return str(dim).lower() in names or (axis == "time" and coordinate is not None and coordinate.dtype.kind == "M")


def in_degrees(coordinate) -> bool:
    """Whether a coordinate is a longitude or latitude, by its units or its name."""
    name = f"{coordinate.attrs.get('standard_name', '')} {coordinate.attrs.get('name', '')}".lower()
    units = str(coordinate.attrs.get("units", ""))
    return units.startswith("degree") or (not units and any(known in name for known in ("lat", "lon")))


def spacing_of(file, array) -> float:
    """km a pixel of a canonical array. Raises: UserError where its coordinates are not even, not square, or of no unit."""
    steps = {}
    for dim in ("y", "x"):
        coordinate = array[dim]
        name, units, values = coordinate.attrs["name"], str(coordinate.attrs.get("units", "")), coordinate.values
        if values.dtype.kind not in "iuf":
            raise UserError(f"{file}: coordinate {name!r} is no number, such as {values[0]}; expected numbers in m, km or degrees")
        mean = even_step(file, f"coordinate {name!r}", values)
        known = "degrees" if in_degrees(coordinate) else of_length(units)
        if known is None:
            raise UserError(f"{file}: coordinate {name!r} has units {units!r}; expected m, km or degrees")
        steps[dim] = mean * KILOMETRES[known]
    if in_degrees(array["x"]):
        if in_degrees(array["y"]) and not np.abs(array["y"].values).max() <= 90:
            most = np.abs(array["y"].values).max()
            raise UserError(f"{file}: coordinate {array['y'].attrs['name']!r} reaches {most:g} degrees; expected latitudes, 90 at most")
        steps["x"] *= np.cos(np.radians(array["y"].values.mean()))
    elif abs(steps["y"] / steps["x"] - 1) > 0.05:
        raise UserError(
            f"{file}: pixels of {steps['y']:.4g} x {steps['x']:.4g} km; expected squares, interpolate first"
        )
    return float(np.sqrt(steps["y"] * steps["x"]))


def of_length(units):
    """The key of KILOMETRES that a unit of length means, None for another; those that stand there need no look at other spellings."""
    units = str(units)
    return units if units in KILOMETRES else next((known for known in ("m", "km") if same(units, known)), None)


def mapping_of(array) -> dict:
    """The numbers of a field's grid mapping; {} without one."""
    name = str(array.attrs.get("grid_mapping", ""))
    attrs = array[name].attrs if name in array.coords else {}
    return {key: value for key, value in attrs.items() if isinstance(value, (float, np.floating))}


def _same_grid(file, array, mapping, first):
    # (file, shape, km a pixel, its first pixel in pixels, numbers of its mapping), checked against the first one.
    spacing = spacing_of(file, array)
    units = ["degrees" if in_degrees(array[dim]) else of_length(array[dim].attrs.get("units", "")) for dim in "yx"]
    first_pixel = [float(array[dim].values[0]) for dim in "yx"]
    origin = [(at % 360 if unit == "degrees" else at) * KILOMETRES[unit] / spacing for at, unit in zip(first_pixel, units, strict=True)]
    here = (file, array.shape[1:], spacing, origin, mapping)
    if first is not None and (here[1] != first[1] or abs(here[2] / first[2] - 1) > 1e-3):
        raise UserError(
            f"{file}: a grid of {here[1]} pixels of {here[2]:.4g} km, but {first[1]} of {first[2]:.4g} km in {first[0].name}; "
            "expected the same grid in all files"
        )
    if first is not None and (np.abs(np.subtract(origin, first[3])).max() > 0.1 or any(
        not np.allclose(mapping[key], first[4][key], rtol=1e-6, atol=1e-4) for key in mapping.keys() & first[4].keys()
    )):  # fmt: skip
        raise UserError(
            f"{file}: its grid lies elsewhere than that of {first[0].name}; expected one place in all files, train on a folder of each"
        )
    return here if first is None else first


def _cropped(file, array, crop):
    if crop is None:
        return array
    y, x, height, width = crop
    if min(y, x) < 0 or min(height, width) < 1 or y + height > array.sizes["y"] or x + width > array.sizes["x"]:
        raise UserError(f"{file}: crop (y0, x0, height, width) = {tuple(crop)} leaves the grid {array.shape[1:]}")
    return array.isel(y=slice(y, y + height), x=slice(x, x + width))


def unit_of(file, array, asked) -> str:
    """The unit of the values as `dbz_of` knows it. What only looks like rain is refused: a wind is in m s-1 as well."""
    stated = asked or array.attrs.get("units", "")
    unit = formats.plain_units(stated)
    known = f"set --config.data.units=dBZ, or another of {', '.join(repr(rate) if ' ' in rate else rate for rate in RATES)}, vil"
    if unit == "dbz" or (unit == "vil" and asked):
        return unit
    if unit not in RATES:
        vil = (
            "; vertically integrated liquid is no reflectivity, see read_archive" if unit in ("kg m-2", "kg/m2") else ""
        )
        raise UserError(f"{file}: variable {array.name!r} has units {stated!r}{vil}; {known}")
    names = " ".join(str(array.attrs.get(key, "")) for key in ("standard_name", "long_name")).lower()
    if not asked and unit in ("m s-1", "m/s") and not any(word in names for word in ("precip", "rain")):
        raise UserError(
            f"{file}: variable {array.name!r} is in {stated!r} and doesn't say that it is rain; {known} if it is"
        )
    return unit


def dbz_of(file, array, unit, start: int = 0, said: Said = Said()) -> np.ndarray:  # noqa: B008
    """The values of a canonical array in dBZ, no echo 0, NaN where missing.

    Raises: UserError on what no radar measures, with the code that it may be.
    """
    values = values_of(file, array)
    if said.valid:
        low, high = (np.float32(v) for v in said.valid)
        values = np.where((values < low) | (values > high), np.float32(np.nan), values)
    check_finite(file, array.name, values, start=start, missing=True)
    if unit == "vil":
        dbz = 17.5 * np.log10(np.maximum(values, 1e-6) / (3.44e-6 * COLUMN))
        bad, most = values < 0, HIGHEST
    elif unit in RATES:
        dbz = reflectivity(np.maximum(values * np.float32(RATES[unit]), 0))
        bad, most = values * RATES[unit] < -1e-3, reflectivity(np.float32(MOST_RAIN))  # less is what packing leaves of a zero
    else:
        dbz, bad, most = values, values < LOWEST, HIGHEST
    if said.valid:
        most = PACKED
    else:
        last = meant_by(array).last
        bad = bad | ((dbz > SUSPECT) & np.isclose(values, last, rtol=1e-5) if np.isfinite(last) else False)
    bad = bad | (dbz > most)
    if bad.any():
        raise UserError(_no_radar(file, array, unit, values, bad, start, said))
    return np.maximum(dbz, 0)


def _no_radar(file, array, unit, values, bad, start, said):
    # What is there, and what makes it missing as it is typed.
    meant, worst = meant_by(array), values[bad][0]
    place = f"is {worst:g} {unit} at index {index_of(bad, start)} ({bad.sum()} such values here)"
    codes = sorted({meant.code(value) for value in np.unique(values[bad])[:5].tolist()})
    if said.valid or len(codes) > 4:
        low, high = {"dbz": (LOWEST, HIGHEST), "vil": (0, 79)}.get(unit) or (0, MOST_RAIN / RATES[unit])
        return (
            f"{file}: variable {array.name!r} {place}, which no radar measures; what lies outside of --config.data.valid={low:g},{high:g} "
            "is taken as missing where that is added"
        )
    said_too = ",".join(str(int(code) if float(code).is_integer() else code) for code in (*said.missing, *codes))
    raw = f", {codes[0]} in the file" if meant.code(worst) != worst else ""
    return (
        f"{file}: variable {array.name!r} {place}{raw}, which no radar measures; a code for missing must be declared as _FillValue, or by "
        f"--config.data.missing={said_too}"
    )
