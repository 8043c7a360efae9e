"""Forecast verification in dBZ: how sharp, how honest, how far in space, lead time by lead time.

Everywhere: `forecast` (member, time, y, x) and `observed` (time, y, x) are DataArrays in dBZ, no echo 0, both with a leading
`event` where there are several. A pixel that is NaN in the observation or in any member is left out of every score.
An exceedance is >=. `by` names the dimensions to keep, ("time",) for a score by lead time and () for one number.
"""

import numpy as np
import xarray as xr

from sciddm.errors import UserError

THRESHOLDS = (15.0, 25.0, 35.0)  # dBZ: rain at all, moderate, heavy
LEADS = (5, 15, 30, 60)  # minutes


def crps(forecast, observed, by=("time",), estimator: str = "fair"):
    """Continuous ranked probability score, dBZ. One member has the absolute error, the CRPS of a point forecast.

    CRPS = mean_i |x_i - y| - sum_ij |x_i - x_j| / 2K,   K = M (M - 1) if fair (Ferro 2014), M^2 if ecdf
    fair: what an ensemble of any size from the same law would get; ecdf: what these M members get. The name says which.
    """
    from scores.probability import crps_for_ensemble

    forecast, observed = _masked(forecast, observed)
    if forecast.sizes["member"] == 1:
        return abs(forecast.isel(member=0) - observed).mean(_others(observed, by)).rename("absolute error")
    # An event at a time: the package holds several copies of what it is given.
    each = [
        crps_for_ensemble(f, o, "member", method=estimator, preserve_dims="all") for f, o in _events(forecast, observed)
    ]
    return xr.concat(each, "event").mean(_others(observed, by) | ({"event"} - set(by))).rename(f"CRPS {estimator}")


def spread_skill(forecast, observed, by=("time",)):
    """Spread over skill: sqrt((M + 1)/M <variance>) / sqrt(<(mean - y)^2>), variance over M - 1, <.> over pixels and events.

    1 if truth and members are exchangeable, since then E(mean - y)^2 = (1 + 1/M) E variance; below 1 is overconfident.
    NaN for a single member. (Fortin et al. 2014, doi:10.1175/JHM-D-14-0008.1)
    """
    forecast, observed = _masked(forecast, observed)
    count, over = forecast.sizes["member"], _others(observed, by)
    if count == 1:
        return (observed.mean(over) * np.nan).rename("spread/skill")
    variance = (1 + 1 / count) * forecast.var("member", ddof=1).mean(over)
    error = ((forecast.mean("member") - observed) ** 2).mean(over)
    return np.sqrt(variance / error).rename("spread/skill")


def rank_histogram(forecast, observed, seed: int = 0):
    """How often the truth has each of the ranks 0..M among the members: flat if they are exchangeable. (rank,) counts.

    Among ties (dry pixels, mostly) the rank is uniform at random, the same for the same seed.
    """
    forecast, observed = _masked(forecast, observed)
    below, tied = (forecast < observed).sum("member"), (forecast == observed).sum("member")
    seen = observed.notnull().values
    draw = np.random.default_rng(seed).integers(0, tied.values[seen] + 1)
    counts = np.bincount(below.values[seen] + draw, minlength=forecast.sizes["member"] + 1)
    return xr.DataArray(counts, dims="rank", coords={"rank": np.arange(len(counts))}, name="rank histogram")


def reliability(forecast, observed, threshold: float, bins: int = 10):
    """Observed frequency against forecast probability of >= threshold, in equal bins of probability, the last one closed.

    Returns: Dataset over `bin`: probability (mean forecast within the bin), frequency (NaN where empty), count.
    """
    forecast, observed = _masked(forecast, observed)
    p, y = exceedance_probability(forecast, threshold), exceedance_probability(observed, threshold)
    seen = observed.notnull().values
    p, y = (z.transpose(*observed.dims).values[seen].astype(np.float64) for z in (p, y))
    place = np.minimum((p * bins + 1e-5).astype(int), bins - 1)  # 14/20 belongs to [.7, .8) whatever its last bit
    count, forecasts, events = (np.bincount(place, w, minlength=bins) for w in (np.ones_like(p), p, y))
    empty = np.where(count > 0, count, np.nan)
    return xr.Dataset(
        {
            "probability": ("bin", forecasts / empty),
            "frequency": ("bin", events / empty),
            "count": ("bin", count.astype(int)),
        },
        attrs={
            "threshold": threshold,
            "members": forecast.sizes["member"],
            "base rate": float(y.mean()) if y.size else np.nan,
        },
    )


def brier(forecast, observed, threshold: float, by=("time",)):
    """Brier score of >= threshold, fair in the number of members (Ferro 2014): <(p - o)^2 - p (1 - p)/(M - 1)>."""
    from scores.probability import brier_score_for_ensemble

    forecast, observed = _masked(forecast, observed)
    fair = forecast.sizes["member"] > 1
    each = [
        brier_score_for_ensemble(f, o, "member", threshold, preserve_dims="all", fair_correction=fair)
        for f, o in _events(forecast, observed)
    ]
    name = "Brier score, fair" if fair else "Brier score"
    return (
        xr.concat(each, "event").squeeze("threshold").mean(_others(observed, by) | ({"event"} - set(by))).rename(name)
    )


def categorical(forecast, observed, threshold: float, by=("time",), of: str = "mean"):
    """Contingency counts of >= threshold and the scores they make, of the ensemble mean or of P(>= threshold) >= .5.

    CSI = h/(h + m + f), POD = h/(h + m), FAR = f/(h + f), frequency bias = (h + f)/(h + m); 0/0 is NaN.
    Counts are pooled over everything but `by`.

    Args: of: "mean" (of the members' dBZ) or "probability".
    Returns: Dataset of hits, misses, false_alarms, correct_negatives, CSI, POD, FAR, bias.
    """
    from scores.categorical import ThresholdEventOperator

    forecast, observed = _masked(forecast, observed)
    if of == "mean":
        point, level = forecast.mean("member"), threshold
    elif of == "probability":
        point, level = exceedance_probability(forecast, threshold), 0.5
    else:
        raise UserError(f"of: expected 'mean' or 'probability', got {of!r}")
    predicted, happened = (_exceeds(a, b) for a, b in ((point, level), (observed, threshold)))
    manager = ThresholdEventOperator(default_event_threshold=0.5).make_contingency_manager(predicted, happened)
    table = manager.transform(reduce_dims=list(_others(observed, by)))
    names = {"tp_count": "hits", "fn_count": "misses", "fp_count": "false_alarms", "tn_count": "correct_negatives"}
    counts = {name: table.get_counts()[key] for key, name in names.items()}
    scores = {
        "CSI": table.critical_success_index(),
        "POD": table.probability_of_detection(),
        "FAR": table.false_alarm_ratio(),
        "bias": table.frequency_bias(),
    }
    return xr.Dataset(counts | scores, attrs={"threshold": threshold, "of": of})


def fss(forecast, observed, threshold: float, window: int = 5, by=()):
    """Fractions skill score of >= threshold, its sums pooled over events and lead times before they are divided.

    FSS = 1 - <(P_f - P_o)^2> / (<P_f^2> + <P_o^2>), P the fraction of a window x window square that exceeds; the forecast's
    is the mean over members (the probability), for one member the classical score. Windows lie wholly inside the domain;
    a missing pixel is no exceedance in both. NaN where nothing exceeds anywhere.   (Roberts & Lean 2008, Schwartz et al. 2010)
    """
    return _fss(forecast, observed, threshold, window, by).rename("FSS pooled")


def fss_mean_of_events(forecast, observed, threshold: float, window: int = 5, by=()):
    """The same score of every event by itself, then their mean; events where nothing exceeds are left out.

    Lower than the pooled one, as every event counts alike, the small ones too.
    """
    forecast, observed = _with_events(forecast, observed)
    return _fss(forecast, observed, threshold, window, {"event", *by}).mean("event").rename("FSS mean of events")


def _fss(forecast, observed, threshold, window, by):
    from scores.spatial import fss_2d_binary

    if window > min(observed.sizes["y"], observed.sizes["x"]):
        raise UserError(
            f"window: {window} pixels do not fit into a field of {observed.sizes['y']} x {observed.sizes['x']}"
        )
    forecast, observed = _masked(forecast, observed)
    p, o = (exceedance_probability(field, threshold).fillna(0.0) for field in (forecast, observed))
    p = p.transpose(*o.dims)
    over = [d for d in o.dims if d not in {"y", "x", *by}]
    # The windowed sums are as good for probabilities as for zeros and ones.
    size = {"window_size": (window, window), "spatial_dims": ("y", "x"), "check_boolean": False}
    score = fss_2d_binary(p, o, **size, reduce_dims=["y", "x", *over])
    return score.where((p + o).sum([*over, "y", "x"]) > 0)


def spectrum(fields, spacing_km: float, keep=()):
    """Radially averaged power spectrum, its mean over all dimensions but y, x and `keep`. dBZ^2 a mode, against wavelength in km.

    Of each frame the mean over the window is taken off, then the periodic Hann window w(y) w(x) laid on: rain that leaves the
    domain would else leak a k^-2 tail into every scale. Power = |FFT2|^2 / (N^2 <w^2>), so its sum over all modes is the windowed
    variance. Rings k - 1/2 <= |k| < k + 1/2 of the wavenumber in cycles per domain, k = 1 .. N/2. Missing pixels are put at the mean
    (no power): mask forecast and observation alike before you compare them, as `spectrum_error` does.

    Args: fields: (..., y, x), square.  Returns: (*keep, wavelength) from the longest to the shortest (two pixels), and `modes`.
    """
    n = fields.sizes["x"]
    if fields.sizes["y"] != n:
        raise UserError(f"spectrum: expected square fields, got {fields.sizes['y']} x {n}; crop them")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    window = np.outer(hann, hann)
    wavenumber = np.fft.fftfreq(n, 1 / n)
    ring = np.rint(np.hypot(wavenumber[:, None], wavenumber[None])).astype(int).ravel()
    modes = np.bincount(ring)

    def power(z):
        # Frame by frame in the first dimension, so that 24 events of 20 members need no second copy of all of them.
        there = np.isfinite(z)
        weight = np.where(there, window, 0.0)
        mean = (weight * np.where(there, z, 0.0)).sum((-2, -1)) / np.maximum(weight.sum((-2, -1)), 1e-12)
        z = np.where(there, z - mean[..., None, None], 0.0) * window
        p = np.abs(np.fft.fft2(z)) ** 2 / (n**4 * np.mean(window**2))
        flat = p.reshape(-1, n * n)
        rings = np.stack([np.bincount(ring, row, minlength=len(modes)) for row in flat]) / modes
        return rings.reshape(*z.shape[:-2], -1)[..., 1 : n // 2 + 1]

    first = [d for d in fields.dims if d not in ("y", "x")]
    stacked = fields.transpose(*first, "y", "x")
    values = np.stack([power(z) for z in stacked.values]) if first else power(stacked.values)
    coords = {d: fields[d] for d in first if d in fields.coords}
    wavelength = n * spacing_km / np.arange(1, n // 2 + 1)
    coords |= {
        "wavelength": ("wavelength", wavelength, {"units": "km"}),
        "modes": ("wavelength", modes[1 : n // 2 + 1]),
    }
    result = xr.DataArray(values, dims=(*first, "wavelength"), coords=coords, name="power spectrum")
    return result.mean([d for d in first if d not in keep]).assign_attrs(units="dBZ2")


def spectrum_error_dB(forecast, observed, shortest: float = 4.0, keep=()):
    """|10 log10 (power of the members / power of the observation)|, over wavelengths longer than `shortest` pixels. dB.

    The power is of every member by itself, then averaged; never that of their mean, which is smooth by construction.
    Returns: Dataset of max, mean (over wavelengths), and ratio (wavelength), signed.
    """
    forecast, observed = _masked(forecast, observed)
    ratio = 10 * np.log10(spectrum(forecast, 1.0, keep) / spectrum(observed, 1.0, keep))
    ratio = ratio.where(ratio.wavelength > shortest, drop=True)
    return xr.Dataset({"max": abs(ratio).max("wavelength"), "mean": abs(ratio).mean("wavelength"), "ratio": ratio})


def exceedance_probability(forecast, threshold: float):
    """Share of the members with dBZ >= threshold; of a field without members its 0 or 1. NaN where missing."""
    exceeds = _exceeds(forecast, threshold)
    return exceeds.mean("member", skipna=False) if "member" in forecast.dims else exceeds


def table(forecasts: dict, observed, thresholds=THRESHOLDS, leads=LEADS, window: int = 5) -> dict:
    """Every score of every forecast, all of them on the pixels that all of them and the observation have.

    CSI, POD and FAR are of the ensemble mean, "CSI of P >= .5" of the probability; FSS of the probability, pooled over events and
    lead times; "spectrum dB" the largest error of the members above 4 pixels. CRPS is fair; of one member it is the absolute error.

    Args: forecasts: name -> (member, time, y, x) dBZ; if one is called "persistence" the rest get "skill" = 1 - CRPS/CRPS of it;
        leads: minutes of the coordinate `time`, those that exist are taken.
    Returns: name -> {metric: float}, "scored" being the share of the observed pixels that could be used.
    """
    common = observed.notnull()
    for forecast in forecasts.values():
        common = common & forecast.notnull().all("member")
    truth = observed.where(common)
    rows = {}
    for name, forecast in forecasts.items():
        by_lead = crps(forecast, truth)
        row = {"CRPS": crps(forecast, truth, by=())}
        row |= {f"CRPS at {lead} min": by_lead.sel(time=lead) for lead in leads if lead in by_lead.time}
        row |= {"CRPS ecdf": crps(forecast, truth, (), "ecdf"), "spread/skill": spread_skill(forecast, truth, ())}
        for threshold in thresholds:
            of_mean = categorical(forecast, truth, threshold, ())
            row |= {f"{score} {threshold:g} dBZ": of_mean[score] for score in ("CSI", "POD", "FAR")}
            row[f"CSI {threshold:g} dBZ of P >= .5"] = categorical(forecast, truth, threshold, (), "probability").CSI
            row[f"Brier {threshold:g} dBZ"] = brier(forecast, truth, threshold, ())
            row[f"FSS {threshold:g} dBZ"] = fss(forecast, truth, threshold, window)
            row[f"FSS {threshold:g} dBZ mean of events"] = fss_mean_of_events(forecast, truth, threshold, window)
        error = spectrum_error_dB(forecast, truth)
        row |= {"spectrum dB": error["max"], "spectrum dB mean": error["mean"]}
        row["scored"] = common.sum() / observed.notnull().sum()
        rows[name] = {key: float(value) for key, value in row.items()}
    if "persistence" in rows:
        for row in rows.values():
            row["skill"] = 1 - row["CRPS"] / rows["persistence"]["CRPS"]
    return rows


def by_lead(forecasts: dict, observed, threshold: float = 25.0, window: int = 5):
    """CRPS, spread/skill, CSI and FSS of every forecast at every lead time: Dataset over (forecast, time), for the picture."""
    common = observed.notnull()
    for forecast in forecasts.values():
        common = common & forecast.notnull().all("member")
    truth, lines = observed.where(common), {}
    for name, forecast in forecasts.items():
        lines[name] = xr.Dataset(
            {
                "CRPS": crps(forecast, truth).assign_attrs(units="dBZ"),
                "spread/skill": spread_skill(forecast, truth),
                f"CSI {threshold:g} dBZ": categorical(forecast, truth, threshold).CSI,
                f"FSS {threshold:g} dBZ": fss(forecast, truth, threshold, window, by=("time",)),
            }
        )
    together = xr.concat(
        list(lines.values()), "forecast", coords="minimal", compat="override", combine_attrs="override"
    )
    return together.assign_coords(forecast=list(lines))


def climate(samples, reference, spacing_km: float) -> dict[str, float]:
    """Is generated rain like rain? Scores of fields against data, each (N, y, x, frames) dBZ, reference NaN where missing.

    "spectrum dB": mean |10 log10 ratio| of power above 4 pixels; "Wasserstein of dBZ": distance of the laws of one pixel, dBZ;
    "share of 15 dBZ" (25, 35) over that of the data; "change of frames": rms from frame to frame over that of the data. 1 is equal.
    """
    fields = [xr.DataArray(np.asarray(x, np.float32), dims=("sample", "y", "x", "time")) for x in (samples, reference)]
    power, of_data = (spectrum(field, spacing_km) for field in fields)
    ratio = abs(10 * np.log10(power / of_data)).where(power.wavelength > 4 * spacing_km)
    levels = np.linspace(0, 1, 2001)
    ours, theirs = (np.nanquantile(field, levels) for field in fields)
    scores = {"spectrum dB": ratio.mean(), "Wasserstein of dBZ": np.abs(ours - theirs).mean()}
    for threshold in THRESHOLDS:
        share, of_data = (_exceeds(field, threshold).mean() for field in fields)
        scores[f"share of {threshold:g} dBZ"] = share / of_data
    change, of_data = (np.sqrt((field.diff("time") ** 2).mean()) for field in fields)
    return {name: float(value) for name, value in (scores | {"change of frames": change / of_data}).items()}


def _exceeds(field, threshold):
    return (field >= threshold).astype(np.float32).where(field.notnull())


def _masked(forecast, observed):
    if "member" not in forecast.dims:
        raise UserError(
            f"forecast: expected dimensions (event, member, time, y, x), got {forecast.dims}; name the members"
        )
    missing = [d for d in observed.dims if forecast.sizes.get(d) != observed.sizes[d]]
    if missing:
        raise UserError(
            f"forecast and observed differ along {missing}: {dict(forecast.sizes)} against {dict(observed.sizes)}"
        )
    there = observed.notnull() & forecast.notnull().all("member")
    return forecast.where(there).transpose(*_order(forecast)), observed.where(there).transpose(*_order(observed))


def _order(field):
    return [d for d in ("event", "member", "time", "y", "x") if d in field.dims]


def _others(field, by):
    return set(field.dims) - set(by)


def _with_events(forecast, observed):
    if "event" in observed.dims:
        return forecast, observed
    return forecast.expand_dims("event"), observed.expand_dims("event")


def _events(forecast, observed):
    forecast, observed = _with_events(forecast, observed)
    for i in range(observed.sizes["event"]):
        yield forecast.isel(event=i), observed.isel(event=i)
