"""Rain made by a Lagrangian stochastic process with the statistics of STEPS, whose law is known: an oracle can forecast it.

    g(x, t) = G(X(x, t), t),     dBZ = 15 + s (g - threshold), clipped to [0, 65]                  (Seed 2003; Bowler et al. 2006)

X follows a steady divergence-free wind back to time 0, so that each frame is interpolated once, however far it has come. In the
moving frame every Fourier mode of G is a stationary AR(1) of unit total variance:

    G_k(t + dt) = r_k G_k(t) + sqrt(1 - r_k^2) P_k^1/2 noise,    r_k = exp(-dt / (a l^b)),   l = 1 / |k| in km

with a power spectrum P of two slopes. Large scales live for hours, small ones for minutes.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy

import sciddm
from domains.weather.archive import Archive, pack
from sciddm.activity import Bar
from sciddm.data.made import made_once
from sciddm.errors import UserError

INTERVAL = 5.0  # minutes between frames
SPACING = 2.0  # km a pixel
RAIN = 15.0  # dBZ, what counts as rain: the wet fraction is the share above it
CHUNK = 32  # events made together; fixed, so that the bits never depend on the number of workers
LIFETIME = (1.2, 1.2)  # minutes a l^b, l in km: 8 minutes at 5 km, 19 at 10, 100 at 40


@dataclass(frozen=True)
class Climate:
    """One event's own parameters: what differs from event to event and stays within it.

    slopes: of the power spectrum in log-log, beyond and below the break; break_km; wind: mean, (y, x) pixels a frame; shear: pixels
    a frame, of the divergence-free part; threshold: in standard deviations; scale: dBZ a standard deviation.
    """

    slopes: tuple[float, float]
    break_km: float
    wind: tuple[float, float]
    shear: float
    threshold: float
    scale: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Climate":
        speed = rng.uniform(4.0, 14.0) * 60.0 * INTERVAL / (1000.0 * SPACING)  # from m/s
        angle = rng.uniform(0.0, 2.0 * np.pi)
        wet = rng.uniform(0.08, 0.45)
        return cls(
            slopes=(rng.uniform(1.4, 2.2), rng.uniform(2.6, 3.4)),
            break_km=rng.uniform(25.0, 50.0),
            wind=(speed * np.sin(angle), speed * np.cos(angle)),
            shear=0.15 * speed,
            threshold=float(-scipy.special.ndtri(wet)),
            scale=rng.uniform(11.0, 15.5),
        )


class Event:
    """One rain event on a square of `size` pixels, cut out of a periodic one twice as wide, so that rain moves in and out."""

    def __init__(self, seed: int, index: int, size: int):
        rng = np.random.default_rng([seed, index, 0])
        self.seed, self.index, self.size, self.domain = seed, index, size, 2 * size
        self.climate = Climate.draw(rng)
        self._wind_phase = rng.standard_normal((self.domain, self.domain), np.float32)

    @cached_property
    def wavenumber(self) -> np.ndarray:
        """(n, n/2 + 1) cycles a km."""
        n = self.domain
        return np.hypot(np.fft.fftfreq(n, SPACING)[:, None], np.fft.rfftfreq(n, SPACING)[None, :])

    @cached_property
    def amplitude(self) -> np.ndarray:
        """What the transform of unit white noise is multiplied with, so that a field has unit variance."""
        return _unit(_two_slopes(self.wavenumber, self.climate), self.domain)

    @cached_property
    def memory(self) -> np.ndarray:
        """r_k, correlation of a mode from one frame to the next."""
        return memory(self.wavenumber)

    def displacement(self) -> np.ndarray:
        """(2, n, n) pixels a frame, (y, x): the mean wind and a divergence-free part of scales beyond 120 km."""
        n, k = self.domain, self.wavenumber
        stream = np.fft.rfft2(self._wind_phase) * np.exp(-0.5 * (120.0 * k) ** 2)
        stream[0, 0] = 0.0
        ky, kx = np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None, :]
        v = np.fft.irfft2(np.stack([-2j * np.pi * kx * stream, 2j * np.pi * ky * stream]), s=(n, n))
        v *= self.climate.shear / np.sqrt(np.mean(v**2))
        return (v + np.asarray(self.climate.wind)[:, None, None]).astype(np.float32)

    def frames(self, count: int, *, future_seed: int | None = None, known: int = 0) -> np.ndarray:
        """(count, size, size) dBZ, 0 where there is no echo.

        With a `future_seed` the noise after the first `known` frames is another: the same past, another future, drawn from the true
        law of it given all that the process knows, its wind and what lies outside of the square. No forecast can be better.
        """
        n, pad = self.domain, (self.domain - self.size) // 2
        back = -self.displacement()
        grid = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij")).astype(np.float32)
        crop = (slice(None), slice(pad, pad + self.size), slice(pad, pad + self.size))
        # Depart from the square; the flow is steady, so one more step back is the wind where one has come to.
        at, state, out = grid[crop], None, np.empty((count, self.size, self.size), np.float32)
        for frame in range(count):
            other = future_seed is not None and frame >= known
            rng = np.random.default_rng([self.seed, self.index, 1 + frame, *([1 + future_seed] if other else [])])
            noise = self.amplitude * np.fft.rfft2(rng.standard_normal((n, n), np.float32))
            state = noise if state is None else self.memory * state + np.sqrt(1.0 - self.memory**2) * noise
            if frame:
                at = at + _trace(back, at)
            field = np.fft.irfft2(state / _spline_response(n), s=(n, n))
            g = scipy.ndimage.map_coordinates(field, at, order=3, mode="grid-wrap", prefilter=False)
            out[frame] = RAIN + self.climate.scale * (g - self.climate.threshold)
        return np.clip(out, 0.0, 65.0)


def make_events(seed: int, indices, frames: int, size: int = 64) -> np.ndarray:
    """(events, frames, size, size) float32 dBZ: event i depends on (seed, i) alone."""
    return np.stack([Event(seed, int(i), size).frames(frames) for i in indices])


def ensure_archive(
    events: int, frames: int, size: int, seed: int, cache, *, progress: bool = True, workers=None
) -> Archive:
    """The archive of `events` rain events of `frames` frames, made on the first call and read again after it; a day to each event.

    Args: cache: folder; workers: processes, None for one a core.
    Raises: UserError on impossible sizes, or if the cache can't be written.
    """
    if events < 2 or frames < 2 or seed < 0 or size < 16 or size % 2:
        raise UserError(
            f"config.data.events = {events}, frames = {frames}, size = {size}, config.seed = {seed}: "
            "expected at least 2 events and frames, an even size of 16 or more, and a seed of 0 or more"
        )
    from domains.weather.readers import read_archive  # which knows all formats, and is not needed to make one

    path = Path(cache) / f"rain-{size}-n{events}x{frames}-seed{seed}.zarr"
    return read_archive(made_once(path, lambda partial: _write(partial, events, frames, size, seed, progress, workers)))


def _write(path, events, frames, size, seed, progress, workers):
    import joblib

    jobs = [range(start, min(start + CHUNK, events)) for start in range(0, events, CHUNK)]
    many = events * frames * size**2 > 20_000_000  # starting processes takes longer than making little data
    run = joblib.Parallel(n_jobs=(workers or os.cpu_count()) if many else 1, return_as="generator")
    parts = run(joblib.delayed(_packed)(seed, job, frames, size) for job in jobs)
    with Bar(parts, total=len(jobs), desc=f"rain {size}x{size}", unit="chunk", disable=not progress) as bar:
        chunks = list(bar)
    days = np.datetime64("2000-01-01", "s") + np.arange(events)[:, None] * np.timedelta64(1, "D")
    times = (days + np.arange(frames) * np.timedelta64(round(60 * INTERVAL), "s")).ravel()
    about = f"sciddm {sciddm.__version__} domains.weather, Lagrangian stochastic rain, seed {seed}"
    archive = Archive(np.concatenate(chunks).reshape(-1, size, size), times, SPACING, INTERVAL, about)
    archive.write(path, {"source": about})


def _packed(seed, indices, frames, size):
    return pack(make_events(seed, indices, frames, size))


def memory(wavenumber):
    """exp(-dt / (a l^b)) of cycles a km; the mean, which has no scale, lives as long as the longest wave of 512 km."""
    a, b = LIFETIME
    length = 1.0 / np.maximum(wavenumber, 1.0 / 512.0)
    return np.exp(-INTERVAL / (a * length**b))


def _two_slopes(k, climate: Climate):
    # Slopes of the radially averaged spectrum: power a mode, not a ring of them.
    k_break, flat = 1.0 / climate.break_km, 1.0 / 256.0
    first, second = climate.slopes
    k = np.maximum(k, flat)
    return np.where(k < k_break, (k / k_break) ** -first, (k / k_break) ** -second)


def _unit(power, n):
    # Without its mean, and with unit mean square: columns of a half transform count twice, but for the first and the last.
    power = power.copy()
    power[0, 0] = 0.0
    twice = np.full(power.shape[1], 2.0)
    twice[[0, -1]] = 1.0
    return np.sqrt(power / ((power * twice).sum() / n**2)).astype(np.float32)


def _spline_response(n):
    # A cubic B-spline's samples are (1, 4, 1) / 6: divided out in Fourier space the spline interpolates.
    one = (2.0 + np.cos(2.0 * np.pi * np.fft.fftfreq(n))) / 3.0
    half = (2.0 + np.cos(2.0 * np.pi * np.fft.rfftfreq(n))) / 3.0
    return one[:, None] * half[None, :]


def _trace(back, at):
    # Midpoint rule: the wind half a step back.
    first = np.stack([scipy.ndimage.map_coordinates(v, at, order=1, mode="grid-wrap") for v in back])
    middle = at + 0.5 * first
    return np.stack([scipy.ndimage.map_coordinates(v, middle, order=1, mode="grid-wrap") for v in back])
