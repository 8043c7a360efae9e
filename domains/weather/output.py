"""Answers to what a user brought as CF data sets: valid times, the places, names and directions of the user's own frames, dBZ and mm/h."""

import numpy as np
import xarray as xr

from domains.weather.transform import encode, rain_rate
from domains.weather.window import Brought
from sciddm.errors import UserError

REFLECTIVITY = {"units": "dBZ", "standard_name": "equivalent_reflectivity_factor", "long_name": "radar reflectivity"}
RAIN = {"units": "mm h-1", "standard_name": "rainfall_rate", "long_name": "rain rate by Z = 200 R^1.6"}


def as_cf(dbz, brought: Brought, interval: float) -> xr.Dataset:
    """reflectivity [dBZ] and rain_rate [mm h-1] (member, time, y, x), rows, columns and their names as in the user's file.

    dbz: (members, frames, Y, X), from south to north; what was given exactly stands in every member. `time` is when a frame is valid,
    `forecast_reference_time` that of the newest frame given, `lead` minutes between them, `given` 1 where a frame was brought.
    """
    header, frames = brought.header, slice(0, brought.kept)
    dbz = np.asarray(dbz, np.float32)[:, frames]
    known = brought.known[frames]
    if brought.exact:
        dbz = np.where(np.isfinite(known), known, dbz)
    turned = [slice(None, None, -1 if flip else 1) for flip in header.flipped]
    dbz = np.ascontiguousarray(dbz[..., turned[0], turned[1]])
    (y,), (x,) = header.y.dims, header.x.dims
    dims, times = ("member", header.time, y, x), brought.times[frames].astype("datetime64[ns]")
    now = times[brought.now]
    lead = (np.arange(len(times)) - brought.now) * float(interval)
    coords = {
        "member": ("member", np.arange(len(dbz)), {"standard_name": "realization", "long_name": "member of the ensemble"}),
        header.time: (header.time, times, {"standard_name": "time", "long_name": "time of validity, UTC", "axis": "T"}),
        y: header.y, x: header.x,
        "forecast_reference_time": ((), now, {"standard_name": "forecast_reference_time", "long_name": "time of the newest frame given"}),
        "lead": (header.time, lead, {"long_name": "minutes after the newest frame given", "units": "1"}),
        "given": (
            header.time, brought.given[frames].astype(np.int8),
            {"long_name": "whether a frame was given", "flag_values": np.array([0, 1], np.int8), "flag_meanings": "generated given"},
        ),
    }  # fmt: skip
    places = {} if header.degrees and not header.projected else dict(header.places)
    if not places and not (header.degrees and not header.projected) and (known := header.lonlat()) is not None:
        for name, values, units in (("lon", known[0], "degrees_east"), ("lat", known[1], "degrees_north")):
            name = name if name not in (y, x) else f"{name}_2d"
            standard = "longitude" if units == "degrees_east" else "latitude"
            places[name] = xr.Variable((y, x), values, {"standard_name": standard, "units": units})
    about = {"grid_mapping": header.mapping} if header.mapping else {}
    found = xr.Dataset(
        {"reflectivity": (dims, dbz, REFLECTIVITY | about), "rain_rate": (dims, rain_rate(dbz), RAIN | about)}, coords | places,
        {"Conventions": "CF-1.11", "no_echo": 0.0},
    )  # fmt: skip
    if header.mapping:
        found[header.mapping] = ((), np.int32(0), header.mapping_attrs)
    return found


def as_frames(native: xr.Dataset) -> np.ndarray:
    """(N, Y, X, frames) encoded of a native data set, whatever it calls its dimensions, from south to north. Raises: UserError."""
    if "reflectivity" not in native:
        raise UserError(f"fields: 'reflectivity' is missing, found {sorted(native.data_vars)}")
    array = native["reflectivity"]
    first = next((dim for dim in ("member", "sample") if dim in array.dims), None)
    rest = [dim for dim in array.dims if dim != first]
    if first is None or len(rest) != 3:
        raise UserError(f"fields: 'reflectivity' has dimensions {array.dims}; expected member or sample, time, y and x")
    time, y, x = rest if rest[0] not in ("y", "x") else ("time", "y", "x")
    array = array.transpose(first, y, x, time)
    for dim in (y, x):
        values = array[dim].values if dim in array.coords else np.arange(array.sizes[dim])
        falls = np.sum(np.diff(values.astype(float)) < 0) > len(values) / 2  # longitudes may jump where the globe begins anew
        array = array.isel({dim: slice(None, None, -1)}) if falls else array
    return encode(np.asarray(array.values, np.float32))


def quantities(native: xr.Dataset) -> xr.Dataset:
    """reflectivity [dBZ] and rain [mm h-1] by member, which events and summaries are asked of; of a forecast what comes after now, as
    the frames before it are known."""
    first = next((dim for dim in ("member", "sample") if dim in native.dims), "member")
    native = native.rename({first: "member"}) if first != "member" else native
    if "lead" in native.coords and (native["lead"] > 0).any():
        native = native.isel({native["lead"].dims[0]: np.flatnonzero(native["lead"] > 0)})
    dbz = native["reflectivity"]
    rain = native["rain_rate"] if "rain_rate" in native else dbz.copy(data=rain_rate(dbz.values)).assign_attrs(RAIN)
    return native.drop_vars("rain_rate", errors="ignore").assign(rain=rain)
