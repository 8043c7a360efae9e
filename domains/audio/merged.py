"""Answers put back into the sound that a user brought: its rate, level, channels and length, and its own samples where they were heard.

Up to half the model's rate a sound is the model's, above it that of the classical method; inside a gap both fade in over 2 ms from the
classical one, which joins the samples around it.
"""

import numpy as np
import xarray as xr

from domains.audio import spectral
from domains.audio.brought import Brought
from domains.audio.classical import restored
from domains.audio.labels import runs
from domains.audio.mdct import imdct
from domains.audio.segments import Segments
from domains.audio.sound import resample

FADE = 0.002  # s


def classical(brought: Brought, rate: float) -> np.ndarray:
    """(n, channels) of the sound by the classical methods; of a higher rate than the model's, `rate`, gaps by Janssen's alone.

    rate: Hz, of the model, at which the noise is known.
    """
    sound = brought.sound
    noise = None if brought.noise is None else brought.noise * max(sound.rate / rate, 1.0) ** 0.5
    channels = zip(sound.samples.T, brought.gap.T, brought.side.T, strict=True)
    return np.stack([restored(*one, noise, sound.rate, onward=sound.rate <= rate) for one in channels], 1)


def as_given(samples: np.ndarray, brought: Brought, segments: Segments, by_classical: np.ndarray, domain) -> xr.Dataset:
    """`waveform` (member, time, channel) in full scale and `changed` (time, channel), 1 where a sample is not the file's own.

    samples: (members, frames, bins, components) coefficients in physical units.
    """
    sound = brought.sound
    rate = max(sound.rate, domain.rate) if brought.cutoff is not None else sound.rate
    only = ~(brought.gap | (brought.side != 0)) if brought.noise is None and brought.cutoff is None else np.zeros(brought.gap.shape, bool)
    members = [_member(one, brought, segments, by_classical, domain, rate, only) for one in np.asarray(samples, np.float64)]
    dtype = np.float64 if sound.subtype in ("PCM_32", "DOUBLE") else np.float32
    changed = (~only).astype(np.int8) if rate == sound.rate else np.ones(members[0].shape, np.int8)
    time = xr.Variable("time", np.arange(len(members[0])) / rate, {"units": "s"})
    return xr.Dataset(
        {
            "waveform": (("member", "time", "channel"), np.stack(members).astype(dtype), {"units": "1", "long_name": "full scale is 1"}),
            "changed": (("time", "channel"), changed, {"long_name": "1 where a sample is not the file's own"}),
        },
        {"time": time},
        {"rate": rate, "subtype": sound.subtype, "format": sound.format, "source": sound.source, "title": brought.title},
    )


def _member(coefficients, brought, segments, by_classical, domain, rate, own):
    sound, channels, part = brought.sound, brought.sound.channels, segments.part
    waves = imdct(np.moveaxis(coefficients, 2, 0)).T  # (samples, components)
    waves = (waves if part.mixing is None else waves @ part.mixing.T) / segments.scale
    low = segments.heard.copy()
    for i, first in enumerate(segments.firsts):
        stop = min(first + segments.length, len(low))
        low[first:stop] = waves[: stop - first, i * channels : (i + 1) * channels]
    if rate == domain.rate and sound.rate <= rate:
        found = low
        if sound.rate < rate:
            return found
    else:
        band = lambda x: resample(resample(x, sound.rate, domain.rate), domain.rate, sound.rate)  # noqa: E731
        found = resample(low, domain.rate, sound.rate)
        found = found[: len(by_classical)] + (by_classical - band(by_classical))
        found = np.where(brought.gap, _faded(by_classical, found, brought.gap, sound.rate), found)
    if brought.cutoff is not None and brought.noise is None:
        above = found - np.stack([spectral.low_pass(one, rate, brought.cutoff) for one in found.T], 1)
        found = np.where(brought.gap | (brought.side != 0), found, sound.samples + above)
    beyond = sound.samples + brought.side * np.maximum(brought.side * (found - sound.samples), 0.0)
    found = np.where(brought.side != 0, beyond, found)
    return np.where(own, sound.samples, found)


def _faded(outer, inner, gap, rate):
    # from `outer` at the edges of each gap to `inner`
    share = np.zeros(gap.shape)
    for channel, column in enumerate(gap.T):
        for first, stop in runs(column):
            depth = np.minimum(np.arange(stop - first) + 1, np.arange(stop - first, 0, -1)) / (FADE * rate)
            share[first:stop, channel] = 0.5 - 0.5 * np.cos(np.pi * np.minimum(depth, 1.0))
    return (1 - share) * outer + share * inner
