"""What a forecaster has without us: persistence, optical flow, STEPS, interpolation, RainFARM; gauges.py has kriging. dBZ, 0 is no echo.

Nowcasts take `past` (4, Y, X) dBZ, the last frame last, NaN where missing, and return every pixel of the future frames.
pysteps is an extra and loaded where it is needed.
"""

import contextlib
import importlib
import io
import os
import warnings

import numpy as np
import scipy

from domains.weather.generate import INTERVAL, SPACING
from domains.weather.transform import rain_rate, reflectivity
from sciddm.errors import UserError, install

RAIN = 0.5  # dBZ, the least echo that STEPS calls rain: it has no other (0.04 mm/h)
# km/h and minutes: what pysteps fitted to Lucas-Kanade in Finland and Switzerland together.
VELOCITY_ERRORS = {
    "p_par": [2.31970635, 0.33734287, -2.64972861],
    "p_perp": [1.90769947, 0.33446594, -2.06603662],
}


def persistence(past, frames: int = 12):
    """The last frame, for ever. past: (4, Y, X) dBZ. Returns: (frames, Y, X)."""
    return np.repeat(filled(past)[-1:], frames, axis=0)


def motion(frames):
    """Lucas-Kanade optical flow of pysteps, its vectors pooled over all frames: (2, Y, X), x then y, pixels a frame.

    Frames of which less than half is there are passed over, with what is on the other side of them. Zero where nothing can be
    followed: dry fields, a single frame.
    """
    frames = np.asarray(frames, np.float64)
    still = np.zeros((2, *frames.shape[1:]))
    run = _longest_run(np.isfinite(frames).mean((1, 2)) >= 0.5)
    frames = frames[run]
    if len(frames) < 2 or not (frames >= RAIN).any():
        return still
    with _quiet():
        try:
            follow = _pysteps("motion.lucaskanade").dense_lucaskanade
            # Smaller windows and more vectors than the defaults, which are for domains of hundreds of pixels.
            flow = follow(np.ma.masked_invalid(frames), lk_kwargs={"winsize": (20, 20)}, decl_scale=10)
        except (ValueError, np.linalg.LinAlgError):
            return still  # what is left after outliers are removed can be too little to interpolate
    return np.where(np.isfinite(flow), flow, 0.0)


def extrapolation(past, frames: int = 12, flow=None, inflow: str = "nearest"):
    """The last frame carried along the optical flow by pysteps' semi-Lagrangian scheme. past: (4, Y, X) dBZ. Returns: (frames, Y, X).

    What flows in from outside the domain is the pixel of its edge next to where it would come from, never missing.
    """
    flow = motion(past) if flow is None else flow
    return _carried(filled(past)[-1], flow, list(range(1, frames + 1)), inflow)


def steps(past, members: int = 20, seed: int = 0, frames: int = 12, flow=None, margin: int = 0, **options):
    """pysteps' STEPS ensemble: AR(1) cascades in the moving frame with noise of the last frame's spectrum.

    The transform is dBZ itself, no rain 5 dB below the threshold, as pysteps recommends for dBR. The settings are those of least CRPS
    on twelve events of the embedded rain that nothing is tested on. A field without any change in it has no cascade: its members are the
    extrapolation, without spread. What flows in is the edge; with a margin it is the domain mirrored,
    where the noise goes on: 2 % more CRPS, spread over skill .97 instead of .90, no streaks, 2.3 times the work.

    Args: past: (4, Y, X) dBZ, NaN missing; margin: pixels; options: of pysteps.nowcasts.steps.forecast, over the tuned ones.
    Returns: (members, frames, Y, X) dBZ, the same for the same seed.
    """
    flow = motion(past) if flow is None else flow
    past = filled(past)
    settings = {
        "n_cascade_levels": 6,
        "ar_order": 1,
        "precip_thr": RAIN,
        "kmperpixel": SPACING,
        "timestep": INTERVAL,
        "noise_method": "nonparametric",
        "mask_method": "incremental",
        "probmatching_method": "cdf",
        "vel_pert_method": "bps",
        "vel_pert_kwargs": VELOCITY_ERRORS,
        "extrap_kwargs": {"map_coordinates_mode": "nearest"},
    } | options
    threshold = settings["precip_thr"]
    if not (past[-1] >= threshold).any():
        return np.repeat(persistence(past, frames)[None], members, axis=0)
    sides = ((0, 0), (margin, margin), (margin, margin))
    rain = np.pad(np.where(past >= threshold, past, threshold - 5.0), sides, mode="symmetric")
    with _quiet(), _numpy_seed(seed):
        forecast = _pysteps("nowcasts.steps").forecast
        try:
            future = forecast(
                rain, np.pad(flow, sides, mode="edge"), frames, n_ens_members=members, seed=seed, num_workers=1, **settings
            )
        except (ValueError, np.linalg.LinAlgError):  # no variance at some scale: it rains alike everywhere, or in one pixel
            return np.repeat(extrapolation(past, frames, flow)[None], members, axis=0)
    height, width = past.shape[1:]
    future = np.nan_to_num(future[:, :, margin : margin + height, margin : margin + width], nan=0.0)
    return np.where(future >= threshold, np.clip(future, 0, 75), 0.0).astype(np.float32)


def filled(frames):
    """Missing pixels from the frame before, then from the nearest pixel of their frame; 0 where there is none. (T, Y, X) dBZ."""
    frames = np.array(frames, np.float32)
    for t in range(len(frames)):
        gap = np.isnan(frames[t])
        if not gap.any():
            continue
        if t:
            frames[t][gap] = frames[t - 1][gap]
        elif gap.all():
            later = next((f for f in frames if np.isfinite(f).any()), np.zeros_like(frames[0]))
            frames[0] = np.where(np.isnan(later), 0.0, later)
        else:
            nearest = scipy.ndimage.distance_transform_edt(gap, return_distances=False, return_indices=True)
            frames[t] = frames[t][tuple(nearest)]
    return frames


def interpolate_in_time(before, after, count: int):
    """`count` frames evenly between two, linear in dBZ. (Y, X) each. Returns: (count, Y, X)."""
    w = _between(count)[:, None, None]
    return (1 - w) * before + w * after


def morph(before, after, count: int, flow=None):
    """`count` frames between two: both carried along the optical flow to the time between, then blended linearly.

    flow: (2, Y, X) pixels from `before` to `after`; from the two frames if not given.
    """
    frames = np.stack([before, after])
    flow = motion(frames) if flow is None else flow
    before, after = filled(frames)
    w = _between(count)
    forward = _carried(before, flow, list(w), "nearest")
    backward = _carried(after, -flow, list(1 - w[::-1]), "nearest")[::-1]
    w = w[:, None, None]
    return (1 - w) * forward + w * backward


def inpaint(frames, method: str = "linear"):
    """Missing pixels from the rest of their frame, linear on triangles or "nearest", which is also for what lies outside of all.

    frames: (T, Y, X) dBZ with NaN. Frames without any pixel stay missing. Returns: (T, Y, X).
    """
    frames = np.array(frames, np.float32)
    for frame in frames:
        gap = np.isnan(frame)
        if not gap.any() or gap.all():
            continue
        # Only what borders on the gap is needed, and triangulating all the rest takes seconds.
        rim = ~gap & scipy.ndimage.binary_dilation(gap, iterations=2)
        for kind in (method, "nearest"):
            still = np.isnan(frame)
            if still.any():
                usable = rim if kind == "nearest" or rim.sum() > 3 else ~gap
                with contextlib.suppress(scipy.spatial.QhullError):
                    frame[still] = scipy.interpolate.griddata(
                        np.argwhere(usable), frame[usable], np.argwhere(still), method=kind
                    )
    return frames


def inpaint_advected(frames):
    """Missing pixels from the frames before and after, carried along the optical flow; the nearer in time, the more weight.

    What none of them has seen comes from `inpaint`, and is dry in a frame without any pixel. frames: (T, Y, X) dBZ with NaN.
    """
    frames = np.asarray(frames, np.float32)
    flow, result = motion(frames), frames.copy()
    for t in np.flatnonzero(np.isnan(frames).any((1, 2))):
        total, weight = np.zeros(frames.shape[1:]), np.zeros(frames.shape[1:])
        for direction in (1, -1):
            missing = np.isnan(frames[t])
            for other in range(t - direction, -1 if direction > 0 else len(frames), -direction):
                seen = _carried(frames[other], direction * flow, [float(abs(t - other))], "constant")[0]
                new = missing & np.isfinite(seen)
                total[new] += seen[new] / abs(t - other)
                weight[new] += 1.0 / abs(t - other)
                missing &= ~new
        fill = np.isnan(frames[t]) & (weight > 0)
        result[t][fill] = total[fill] / weight[fill]
    return np.nan_to_num(inpaint(result), nan=0.0)


def bicubic(coarse, factor: int = 4):
    """Cubic spline through the block centres, in dBZ, not below 0. coarse: (..., y, x). Returns: (..., factor y, factor x)."""
    coarse = np.asarray(coarse, np.float64)
    scale = (1,) * (coarse.ndim - 2) + (factor, factor)
    return np.clip(scipy.ndimage.zoom(coarse, scale, order=3, mode="nearest", grid_mode=True), 0.0, None).astype(
        np.float32
    )


def rainfarm(coarse, factor: int = 4, members: int = 20, seed: int = 0, of: str = "rate"):
    """pysteps' RainFARM: exp of noise continuing the field's own spectrum, scaled to keep every block's mean.

    coarse: (y, x) dBZ; of: "rate" keeps the block's mean of mm/h, "dBZ" that of dBZ: take what the blocks are means of.
    Returns: (members, factor y, factor x) dBZ, the same for the same seed.
    """
    if of not in ("rate", "dBZ"):
        raise UserError(f"of: expected 'rate' or 'dBZ', got {of!r}")
    coarse = np.asarray(coarse, np.float64)
    there = rain_rate(coarse) if of == "rate" else coarse
    if not (there > 0).any():
        return np.zeros((members, factor * there.shape[0], factor * there.shape[1]), np.float32)
    with _quiet(), _numpy_seed(seed):
        downscale = _pysteps("downscaling.rainfarm").downscale
        try:
            fine = np.stack([downscale(there, factor) for _ in range(members)])
        except ValueError:  # no spectrum to continue: it rains alike everywhere
            fine = np.repeat(there.repeat(factor, 0).repeat(factor, 1)[None], members, axis=0)
    return (reflectivity(fine) if of == "rate" else fine).astype(np.float32)


def _carried(frame, flow, times, inflow):
    # `times` ascending, in frames; inflow is a mode of scipy's map_coordinates.
    if not np.isfinite(frame).any():
        return np.full((len(times), *frame.shape), np.nan, np.float32)
    with _quiet():
        move = _pysteps("extrapolation.semilagrangian").extrapolate
        kwargs = {"map_coordinates_mode": inflow, "allow_nonfinite_values": True}
        return move(np.asarray(frame, np.float64), np.asarray(flow, np.float64), times, **kwargs).astype(np.float32)


def _between(count):
    return np.arange(1, count + 1) / (count + 1)


def _longest_run(usable):
    best = start = stop = 0
    for t, good in enumerate([*usable, False]):
        if not good:
            if t - start > stop - best:
                best, stop = start, t
            start = t + 1
    return slice(best, stop)


@contextlib.contextmanager
def _quiet():
    # pysteps reports its progress by print and warns of logarithms of nothing.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _numpy_seed(seed):
    # pysteps draws from or seeds numpy's global generator, which is put back as it was.
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _pysteps(module):
    os.environ.setdefault("PYSTEPS_SILENT", "1")
    try:
        return importlib.import_module(f"pysteps.{module}")
    except ImportError as error:
        raise UserError(f"this baseline needs pysteps: {install('weather')} ({error})") from None
