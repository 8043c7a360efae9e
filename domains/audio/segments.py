"""The part of a sound that the model is asked about: at its rate and level, cut around what is damaged, its channels as components.

Channels are turned into components that don't correlate (Karhunen & Loeve), each brought to the level that the model knows, so that a model
of one channel fills all of them jointly: what is known of one channel binds every component. Of a sound with nothing but gaps the model is
asked about their surroundings alone: segments of one length, which stand beside each other as further components.
"""

from dataclasses import dataclass

import numpy as np

from domains.audio.brought import Brought
from domains.audio.damage import Damage
from domains.audio.labels import runs
from domains.audio.levels import REFERENCE, active_level
from domains.audio.part import Part
from domains.audio.sound import resample
from sciddm.errors import UserError

QUIETEST = 1e-3  # of the loudest component: one that is quieter is silence, and not brought up
EDGE = 0.004  # s, how far the filter between two rates reaches into what is around a gap


@dataclass(frozen=True)
class Segments:
    """part: what the model is asked about; firsts: samples at its rate where segments begin; length: of each; scale: what full scale is
    multiplied by; heard: (n, channels) all of the sound at the model's rate, full scale, gaps filled by the classical method."""

    part: Part
    firsts: tuple[int, ...]
    length: int
    scale: float
    heard: np.ndarray


def cut_out(brought: Brought, context: np.ndarray, domain, *, whole: bool = False) -> Segments:
    """context: (n, channels) of the sound by the classical method; whole: all of it, and not the surroundings of gaps.

    Raises: UserError of silence.
    """
    sound, rate = brought.sound, domain.rate
    heard = resample(np.where(brought.gap, context, sound.samples), sound.rate, rate)
    gap, side = (_at_rate(one, sound.rate, rate, len(heard)) for one in (brought.gap, brought.side))
    if sound.rate != rate:
        gap = np.stack([_wider(one, round(EDGE * rate)) for one in gap.T], 1)
    side = np.where(gap, 0.0, side)
    likely = resample(context, sound.rate, rate) if side.any() else heard  # clipped sounds are quieter than they were
    loud = active_level(likely, rate)
    if not loud > 0:
        raise UserError(f"{sound.source}: is silent; expected a sound")
    if brought.noise is not None and not side.any():
        loud = np.sqrt(max(loud**2 - brought.noise**2, (0.1 * loud) ** 2))
    scale = REFERENCE / loud
    local = not whole and gap.any() and not side.any() and brought.cutoff is None and brought.noise is None
    firsts, length = places(gap.any(1), domain.samples, domain.bins, local)
    mixing = np.kron(np.eye(len(firsts)), components(likely[~gap.any(1)] * scale, rate))
    cut = lambda x: np.concatenate([_cut(x, first, length) for first in firsts], 1)  # noqa: E731
    noise = None if brought.noise is None else brought.noise * scale
    part = _as_part(cut(heard * scale), cut(gap), cut(side), brought.cutoff, noise, mixing)
    return Segments(part, firsts, length, scale, heard)


def _as_part(heard, gap, side, cutoff, noise, mixing) -> Part:
    damages = []
    for row in np.linalg.inv(mixing):
        uses, size = np.abs(row) > 1e-9 * np.abs(row).max(), np.linalg.norm(row)
        beyond = side @ row / np.abs(row).max()
        damages.append(
            Damage(
                heard @ row,
                gap[:, uses].any(1) if gap.any() else None,
                np.sign(beyond) * (np.abs(beyond) > 0.5) if side.any() else None,
                cutoff,
                None if noise is None else noise * size,
            )
        )
    return Part(tuple(damages), heard, gap, side, cutoff, noise, None if np.array_equal(mixing, np.eye(len(mixing))) else mixing)


def components(heard: np.ndarray, rate: float) -> np.ndarray:
    """(C, C), each column a component at the reference level as heard in the channels. heard: (n, C) at the reference level."""
    if heard.shape[1] == 1:
        return np.ones((1, 1))
    _, turn = np.linalg.eigh(heard.T @ heard)
    turn = turn[:, ::-1]  # the loudest first
    level = np.array([active_level(component, rate) for component in (heard @ turn).T])
    return turn * np.maximum(level, QUIETEST * level.max()) / REFERENCE


def places(gap: np.ndarray, window: int, step: int, local: bool) -> tuple[tuple[int, ...], int]:
    """Where segments begin, and their common length, a multiple of `step` and at least a window; all of the sound unless `local`.

    gap: (n,) bool. Around a gap there is at least a third of a window on either side.
    """
    count = max(-(-len(gap) // step) * step, window)
    found: list[list[int]] = []
    for first, stop in runs(gap) if local else ():
        if found and stop + window // 3 - found[-1][0] <= window:
            found[-1][1] = stop + window // 3
        else:
            found.append([max(first - window // 3, 0), stop + window // 3])
    length = max([window, *(-(-(stop - first) // step) * step for first, stop in found)])
    if not found or len(found) * length >= count:
        return (0,), count
    return tuple(max(min((first + stop - length) // 2, len(gap) - length), 0) for first, stop in found), length


def _at_rate(x, old, new, count):
    # what is wrong with each sample, at another rate: that of the nearest samples, of which one is enough
    if old == new:
        return x
    found = np.zeros((count, x.shape[1]), x.dtype)
    for place in np.flatnonzero(x.any(1)):
        at = min(round(place * new / old), count - 1)
        found[at] = np.where(x[place] != 0, x[place], found[at])
    if new > old:  # between two damaged samples there is none that is whole
        for channel, column in enumerate(x.T):
            for first, stop in runs(column != 0):
                found[round(first * new / old) : round((stop - 1) * new / old) + 1, channel] = column[first]
    return found


def _wider(gap, by):
    return np.convolve(gap, np.ones(2 * by + 1), "same") > 0.5


def _cut(x, first, length):
    part = x[first : first + length]
    return np.pad(part, [(0, length - len(part)), (0, 0)])
