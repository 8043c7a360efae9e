"""Forecast verification in dBZ: how sharp, how honest, how far in space, lead time by lead time.

Everywhere: `forecast` (member, time, y, x) and `observed` (time, y, x) are DataArrays in dBZ, no echo 0, both with a leading
`event` where there are several. A pixel that is NaN in the observation or in any member is left out of every score.
An exceedance is >=. `by` names the dimensions to keep, ("time",) for a score by lead time and () for one number.
Scores of any ensemble are the core's, `sciddm.metrics`; what is defined below is the weather's own.
"""

import numpy as np
import xarray as xr

from sciddm import metrics
from sciddm.errors import UserError
from sciddm.metrics import exceedance_probability, rank_histogram, reliability, spectrum_error_dB
from sciddm.metrics.pairs import beside, masked, others

__all__ = [
    "by_lead",
    "brier",
    "categorical",
    "climate",
    "crps",
    "exceedance_probability",
    "fss",
    "fss_mean_of_events",
    "rank_histogram",
    "reliability",
    "spectrum",
    "spectrum_error_dB",
    "spread_skill",
    "table",
]

THRESHOLDS = (15.0, 25.0, 35.0)  # dBZ: rain at all, moderate, heavy
LEADS = (5, 15, 30, 60)  # minutes


def crps(forecast, observed, by=("time",), estimator: str = "fair"):
    """The core's `crps` by lead time, dBZ."""
    return metrics.crps(forecast, observed, by, estimator)


def spread_skill(forecast, observed, by=("time",)):
    """The core's `spread_skill` by lead time."""
    return metrics.spread_skill(forecast, observed, by)


def brier(forecast, observed, threshold: float, by=("time",)):
    """The core's `brier` by lead time."""
    return metrics.brier(forecast, observed, threshold, by)


def spectrum(fields, spacing_km: float, keep=()):
    """The core's `radial_spectrum` under a Hann window, as rain leaves the domain: dBZ^2 a mode, against wavelength in km."""
    power = metrics.radial_spectrum(fields, spacing_km, keep=keep).assign_attrs(units="dBZ2")
    return power.assign_coords(wavelength=power.wavelength.assign_attrs(units="km"))


def categorical(forecast, observed, threshold: float, by=("time",), of: str = "mean"):
    """Contingency counts of >= threshold and the scores they make, of the ensemble mean or of P(>= threshold) >= .5.

    CSI = h/(h + m + f), POD = h/(h + m), FAR = f/(h + f), frequency bias = (h + f)/(h + m); 0/0 is NaN.
    Counts are pooled over everything but `by`.

    Args: of: "mean" (of the members' dBZ) or "probability".
    Returns: Dataset of hits, misses, false_alarms, correct_negatives, CSI, POD, FAR, bias.
    """
    from scores.categorical import ThresholdEventOperator

    forecast, observed = masked(forecast, observed)
    if of == "mean":
        point, level = forecast.mean("member"), threshold
    elif of == "probability":
        point, level = exceedance_probability(forecast, threshold), 0.5
    else:
        raise UserError(f"of: expected 'mean' or 'probability', got {of!r}")
    predicted, happened = (exceedance_probability(a, b) for a, b in ((point, level), (observed, threshold)))
    manager = ThresholdEventOperator(default_event_threshold=0.5).make_contingency_manager(predicted, happened)
    table = manager.transform(reduce_dims=others(observed, by))
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
    forecast, observed = masked(forecast, observed)
    p, o = (exceedance_probability(field, threshold).fillna(0.0) for field in (forecast, observed))
    p = p.transpose(*o.dims)
    over = [d for d in o.dims if d not in {"y", "x", *by}]
    # The windowed sums are as good for probabilities as for zeros and ones.
    size = {"window_size": (window, window), "spatial_dims": ("y", "x"), "check_boolean": False}
    score = fss_2d_binary(p, o, **size, reduce_dims=["y", "x", *over])
    return score.where((p + o).sum([*over, "y", "x"]) > 0)


def table(forecasts: dict, observed, thresholds=THRESHOLDS, leads=LEADS, window: int = 5) -> dict:
    """Every score of every forecast, all of them on the pixels that all of them and the observation have.

    CSI, POD and FAR are of the ensemble mean, "CSI of P >= .5" of the probability; FSS of the probability, pooled over events and
    lead times; "spectrum dB" the largest error of the members above 4 pixels. CRPS is fair; of one member it is the absolute error.

    Args: forecasts: name -> (member, time, y, x) dBZ; if one is called "persistence" the rest get "skill" = 1 - CRPS/CRPS of it;
        leads: minutes of the coordinate `time`, those that exist are taken.
    Returns: name -> {metric: float}, "scored" being the share of the observed pixels that could be used.
    """
    forecasts, truth = _on_the_same(forecasts, observed)
    rows = {}
    for name, forecast in forecasts.items():
        by_lead = crps(forecast, truth)
        row = {"CRPS": crps(forecast, truth, by=())}
        row |= {f"CRPS at {lead} min": score for lead, score in at_leads(by_lead, leads).items()}
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
        row["scored"] = share_of(truth.notnull().sum(), observed.notnull().sum())
        rows[name] = {key: float(value) for key, value in row.items()}
    if "persistence" in rows:
        for row in rows.values():
            row["skill"] = 1 - share_of(row["CRPS"], rows["persistence"]["CRPS"])
    return rows


def share_of(part, whole) -> float:
    """part / whole; NaN where the whole is 0, such as the error of a dry forecast of a dry day, which no skill can be held against."""
    return float(part) / float(whole) if float(whole) else float("nan")


def at_leads(by_lead, leads) -> dict:
    """lead -> value of a score by lead time at those of `leads` (minutes) that there are, to 1 %."""
    minutes = by_lead["time"].values.astype(float)
    nearest = {lead: int(np.abs(minutes - lead).argmin()) for lead in leads} if minutes.size else {}
    return {lead: by_lead.isel(time=i) for lead, i in nearest.items() if abs(minutes[i] - lead) <= 0.01 * lead}


def _on_the_same(forecasts: dict, observed):
    # Forecasts on the observation's coordinates, and the observation where all of them have something.
    forecasts = {name: beside(forecast, observed) for name, forecast in forecasts.items()}
    common = observed.notnull()
    for forecast in forecasts.values():
        common = common & forecast.notnull().all("member")
    return forecasts, observed.where(common)


def by_lead(forecasts: dict, observed, threshold: float = 25.0, window: int = 5):
    """CRPS, spread/skill, CSI and FSS of every forecast at every lead time: Dataset over (forecast, time), for the picture."""
    (forecasts, truth), lines = _on_the_same(forecasts, observed), {}
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
        share, of_data = (exceedance_probability(field, threshold).mean() for field in fields)
        scores[f"share of {threshold:g} dBZ"] = share / of_data
    change, of_data = (np.sqrt((field.diff("time") ** 2).mean()) for field in fields)
    return {name: float(value) for name, value in (scores | {"change of frames": change / of_data}).items()}


def _with_events(forecast, observed):
    if "event" in observed.dims:
        return forecast, observed
    return forecast.expand_dims("event"), observed.expand_dims("event")
