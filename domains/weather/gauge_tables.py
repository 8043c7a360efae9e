"""Rain gauges as tables that a user brings: when, where and how much, in dBZ with its error; a second table says where stations stand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domains.weather import formats
from domains.weather.brought import say
from domains.weather.header import Header
from domains.weather.readers import RATES
from domains.weather.transform import reflectivity
from sciddm.data.tables import read_table
from sciddm.errors import UserError
from sciddm.named import near

TIME = ("time", "datetime", "date_time", "timestamp", "valid_time", "date")
STATION = ("station", "station_id", "stationid", "id", "gauge", "site", "name")
LON, LAT = ("lon", "longitude", "long"), ("lat", "latitude")
X, Y = ("x", "easting"), ("y", "northing")
VALUE = ("value", "rain", "rainfall", "rain_rate", "rainfall_rate", "precipitation", "precip", "rr", "amount", "reflectivity", "dbz")
UNITS, ERROR, INTERVAL = ("units", "unit"), ("error", "std", "sigma", "uncertainty"), ("interval", "duration", "accumulation")
SLOPE = 10 * 1.6 / np.log(10)  # dBZ of a relative change of the rate, of Z = 200 R^1.6
DRY = 0.1  # mm/h; the least that a report of no rain leaves room for
FLOOR = 1.0  # dBZ; no gauge tells a pixel's rain better, whatever its own error
WEAKEST, MOST_RAIN = -20.0, 600.0  # dBZ, mm/h


@dataclass(frozen=True, eq=False)
class Reports:
    """pixels: (n, 2) rows and columns; minutes: (n,) after the newest frame, of the end of each; spans: (n,) minutes that each sums up, 0
    of what is instantaneous; dbz, std: (n,), NaN where nothing was reported; dry: (n,) dBZ that no rain may be below, NaN where it rained.
    """

    pixels: np.ndarray
    minutes: np.ndarray
    spans: np.ndarray
    dbz: np.ndarray
    std: np.ndarray
    dry: np.ndarray


def read_reports(tables: Sequence, stations, header: Header, now, horizon: float, interval: float, error: float) -> Reports:
    """The reports of all tables; one with stations and places but no time says where they stand.

    Rates in mm/h, and amounts in mm over `interval` minutes, become dBZ by Z = 200 R^1.6; an error e of a rate R is one of
    10 b / ln 10 e / R dBZ, 1 at least. No rain, 0, says that the rate is below the least that the gauge reports (0.1 mm/h at least), and no
    more than that. dBZ are taken as they are, 0 as no echo.

    Args: stations: a table, or None; now: datetime64 of the newest frame; horizon: minutes of forecast; interval: minutes of a frame;
        error: dBZ, where the table has no column for it.
    Raises: UserError with file and line.
    """
    tables, places = _sorted(tables, stations)
    found = [_reports(table, places, header, now, horizon, interval, error) for table in tables]
    return Reports(*(np.concatenate([getattr(one, name) for one in found]) for name in Reports.__dataclass_fields__))


def where_gauges_stand(tables: Sequence, stations, header: Header) -> np.ndarray:
    """(n, 2) broken rows and columns of all reports, NaN far outside. Raises: UserError with file and line."""
    tables, places = _sorted(tables, stations)
    return np.nan_to_num(np.concatenate([_pixels(table, places, header)[0] for table in tables]), nan=-9e9)


def _sorted(tables, stations):
    # Tables of reports, and that of stations or None.
    tables = [read_table(thing) for thing in tables]
    places = [table for table in tables if table.find(TIME) is None and table.find(STATION) is not None]
    places += [] if stations is None else [read_table(stations)]
    tables = [table for table in tables if table not in places]
    if not tables:
        raise UserError("--given: no table of reports; expected one with columns time, and lon and lat, x and y, or station, and a value")
    if len(places) > 1:
        raise UserError(f"{places[1].source}: a second table of stations beside {places[0].source}; expected one")
    return tables, places[0] if places else None


def _reports(table, places, header, now, horizon, interval, error) -> Reports:
    times = table.times(table.need(TIME, "when a report ends"))
    if np.isnat(times).any():
        raise UserError(f"{table.where(int(np.isnat(times).argmax()))}: no time; expected a date and time such as 2024-05-01 10:05")
    column = table.find(VALUE) or table.need(("value",), "what a gauge reports, its unit in brackets, such as value [mm/h]")
    values, missing = table.numbers(column), table.missing(column)
    pixels, station = _pixels(table, places, header)
    minutes = (times - now).astype(np.int64) / 60
    _unique(table, times, station, pixels, values)
    early, late = minutes < interval / 2, minutes > horizon + interval / 2
    outside = ~header.inside(np.nan_to_num(pixels, nan=-9e9))
    elsewhere = outside & ~early & ~late
    for away, why in ((early, "up to the newest frame"), (late, "after the forecast ends"), (elsewhere, "outside of the grid")):
        if away.any():
            say(f"{table.source}: {away.sum()} of {len(table)} reports {why} are left out, the first in {table.counted} "
                f"{table.lines[int(away.argmax())]}")  # fmt: skip
    kept = np.flatnonzero(~(early | late | outside))
    if not len(kept):
        span = f"{str(now)[:16]} and {horizon:g} min after it".replace("T", " ")
        raise UserError(f"{table.source}: no report is inside of the grid and between {span}; {_hint(table, places, header, outside)}")
    if missing[kept].any():
        say(f"{table.source}: {missing[kept].sum()} reports without a value count for nothing")
    spans, dbz, std, dry = _in_dbz(table, column, values, kept, times, station, error)
    return Reports(np.rint(pixels[kept]).astype(int), minutes[kept], spans, dbz, std, dry)


def _pixels(table, places, header):
    # (n, 2) broken rows and columns, and (n,) what tells one gauge from another.
    source, rows = table, np.arange(len(table))
    station = table.find(STATION)
    own = any(table.find(names) for names in (LON, X))
    names = table.text(station) if station else None
    if not own:
        if station is None:
            table.need(("lon",), "where a gauge stands: lon and lat, x and y, or station")
        if places is None:
            raise UserError(f"{table.source}: has stations and no places; add --given stations=FILE with columns station, lon, lat")
        known = places.text(places.need(STATION, "which station"))
        lines = {}
        for i, name in enumerate(known):
            if name in lines:
                before = f"{places.counted} {places.lines[lines[name]]}"
                raise UserError(f"{places.where(i)}: station {name!r} is there twice, also in {before}; leave one out")
            lines[name] = i
        if unknown := [i for i, name in enumerate(names) if name not in lines]:
            name = names[unknown[0]]
            raise UserError(f"{table.where(unknown[0])}: station {name!r} is not in {places.source}{near(name, lines)}")
        source, rows = places, np.array([lines[name] for name in names])
    degrees = source.find(LON) is not None
    across, up = (LON, LAT) if degrees else (X, Y)
    a = source.numbers(source.need(across, "where a gauge stands"))
    b = source.numbers(source.need(up, "where a gauge stands"))
    used = np.unique(rows)
    if (lost := used[~np.isfinite(a[used] + b[used])]).size:
        raise UserError(f"{source.where(int(lost[0]))}: no place; expected {across[0]} and {up[0]}")
    if degrees and (off := used[np.abs(b[used]) > 90]).size:
        raise UserError(f"{source.where(int(off[0]))}: lat is {b[off[0]]:g}; expected -90 to 90 degrees; are lon and lat swapped?")
    found = header.pixels(a, b) if degrees else header.pixels_at(a, b)
    if found is None:
        unknown = "the frames don't say where on the Earth they lie, or pyproj is not there"
        raise UserError(f"{source.source}: lon and lat, but {unknown}; give x and y in their coordinates")
    return found[rows], names if names is not None else np.array([f"{x},{y}" for x, y in zip(a[rows], b[rows], strict=True)])


def _hint(table, places, header, outside):
    source = table if table.find(LON) or table.find(X) else places
    if not outside.all():
        return "are its times in UTC, or with their zone?"
    if source is not None and source.find(LON) and source.find(LAT):
        swapped = header.pixels(source.numbers(source.find(LAT)), np.clip(source.numbers(source.find(LON)), -90, 90))
        if swapped is not None and header.inside(np.nan_to_num(swapped, nan=-9e9)).any():
            return "lon and lat are swapped"
    corners = f"{header.in_words(0, 0)} to {header.in_words(header.shape[0] - 1, header.shape[1] - 1)}"
    return f"the grid reaches from {corners}"


def _unique(table, times, station, pixels, values):
    seen = {}
    for i, key in enumerate(zip(times.tolist(), station.tolist(), map(tuple, np.nan_to_num(pixels)), strict=True)):
        if key in seen:
            when = str(times[i])[:16].replace("T", " ")
            before = f"{table.counted} {table.lines[seen[key]]} ({values[seen[key]]:g} and {values[i]:g})"
            raise UserError(f"{table.where(i)}: a second report of {station[i]} at {when}, also in {before}; leave one out")
        seen[key] = i


def _in_dbz(table, column, values, kept, times, station, default):
    # (spans, dbz, std, dry) of the rows that are kept.
    stated = table.text(table.find(UNITS)) if table.find(UNITS) else np.full(len(table), table.units.get(column, ""), object)
    if not table.find(UNITS) and not table.units.get(column) and column.lower() in ("dbz", "reflectivity"):
        stated = np.full(len(table), "dBZ", object)
    errors = table.find(ERROR)
    error = table.numbers(errors) if errors else np.full(len(table), np.nan)
    spans, per_hour = _intervals(table, times, station, stated, kept), np.full(len(table), np.nan)
    for i in kept:
        unit = formats.plain_units(stated[i])
        if unit in RATES:
            per_hour[i] = RATES[unit]
        elif unit in ("mm", "kg m-2", "kg/m2"):
            per_hour[i] = 60 / spans[i]
        elif unit != "dbz":
            way_out = f"expected mm/h, mm, or dBZ, as in {column} [mm/h], or in a column units"
            raise UserError(f"{table.where(i)}: {column} is in {stated[i] or 'no unit'!r}; {way_out}")
        if error[i] < 0 or error[i] == 0:
            raise UserError(f"{table.where(i)}: {errors} is {error[i]:g}; expected one standard deviation, above 0")
        if np.isfinite(per_hour[i]) and (values[i] < 0 or values[i] * per_hour[i] > MOST_RAIN):
            what = f"{values[i]:g} {stated[i]}"
            raise UserError(f"{table.where(i)}: {column} is {what}; expected 0 to {MOST_RAIN:g} mm/h; leave empty what is missing")
        if unit == "dbz" and not (np.isnan(values[i]) or -100 <= values[i] <= 100):
            raise UserError(f"{table.where(i)}: {column} is {values[i]:g} dBZ; expected -100 to 100; leave empty what is missing")
    v, e, is_rate = values[kept], error[kept], np.isfinite(per_hour[kept])
    rate, least = v * per_hour[kept], np.full(len(kept), np.nan)
    if (positive := v[is_rate & (v > 0)]).size:
        least[is_rate] = positive.min() * per_hour[kept][is_rate]
    limit = reflectivity(np.fmax(np.fmax(least, e * per_hour[kept]), DRY))
    wet = reflectivity(np.where(is_rate, rate, 0.0))
    dbz = np.where(is_rate, np.where(rate > 0, wet, 0.0), np.where(v < WEAKEST, 0.0, v))
    slope = np.where(is_rate & (rate > 0), np.fmax(SLOPE * e * per_hour[kept] / np.where(rate > 0, rate, 1.0), FLOOR), np.nan)
    std = np.where(np.isnan(e) | (is_rate & ~(rate > 0)), default, np.where(is_rate, slope, e))
    dry = np.where(is_rate & (wet <= 0) & np.isfinite(v), limit, np.nan)
    return np.where(is_rate & np.isfinite(spans[kept]), spans[kept], 0.0), np.where(np.isnan(v), np.nan, dbz), std, dry


def _intervals(table, times, station, stated, kept):
    # Minutes that each report sums up: its column, else the station's own step of reporting.
    name = table.find(INTERVAL)
    if name:
        found = table.numbers(name)
        if (off := [i for i in kept if not found[i] > 0]) and any(formats.plain_units(stated[i]) in ("mm", "kg m-2", "kg/m2") for i in off):
            raise UserError(f"{table.where(off[0])}: {name} is {found[off[0]]:g}; expected minutes above 0")
        unit = table.units.get(name, "min").lower()
        if unit not in ("min", "minutes", "minute", "h", "hours", "s", "seconds"):
            raise UserError(f"{table.source}: {name} is in {unit!r}; expected minutes")
        return found * {"h": 60.0, "s": 1 / 60}.get(unit[0] if unit[0] in "hs" else "", 1.0)
    found = np.full(len(table), np.nan)
    summed = np.array([formats.plain_units(unit) in ("mm", "kg m-2", "kg/m2") for unit in stated])
    for one in np.unique(station[summed]) if summed.any() else ():
        rows = np.flatnonzero(station == one)
        steps, counts = np.unique(np.diff(np.sort(times[rows])).astype(np.int64), return_counts=True)
        if not len(steps):
            raise UserError(
                f"{table.where(int(rows[0]))}: one report in mm, over a time that is not said; add a column interval, in minutes"
            )
        found[rows] = steps[counts.argmax()] / 60
    return found
