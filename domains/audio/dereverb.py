"""A room taken out of a recording whose impulse response is known."""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy

from domains.audio import spectral
from domains.audio.brought import Brought, find_noise, say_read, sort_out, words_of_noise
from domains.audio.levels import REFERENCE, active_level
from domains.audio.observe import Filtered
from domains.audio.part import Part
from domains.audio.restore import Damaged
from domains.audio.segments import Segments, components
from domains.audio.sound import Sound, read_sound, resample
from domains.audio.written import write_sound
from sciddm import lookahead
from sciddm.errors import UserError
from sciddm.tasks import Problem, need

QUIET = 40.0  # dB, by which the noise of a recording lies below it where nothing is said of it
AROUND = 64  # samples of the lower of two rates, as far as the filter between them rings
SHORTEST, LONGEST = 0.05, 5.0  # s, of the rooms that are made


@dataclass(frozen=True)
class Reverberant(Brought):
    """A sound as it was heard in a room. response: (m,) at the sound's rate, whose direct path is 1; direct: the sample of that path,
    with which a sound begins to be heard: what is restored is as loud and as late as the direct sound."""

    response: np.ndarray = field(default_factory=partial(np.ones, 1))
    direct: int = 0


class Whitened(eqx.Module):
    """The first n samples of (B, samples, C) in another basis, y_k = g_k sum_m (cos + sin)(2 pi k m / n) x_m / sqrt(n): (B, n, C).

    The Hartley transform is orthonormal and real, and turns filters that are symmetric in time into gains. gains: g, (n,).
    """

    gains: Any

    def __call__(self, waves):
        spectrum = jnp.fft.fft(waves[:, : self.gains.shape[0]], axis=1, norm="ortho")
        return (spectrum.real - spectrum.imag) * self.gains[:, None]


class Dereverb(Damaged):
    """A room taken out, of whose impulse response everything is known: the dry sound, as loud as its direct path was heard.

    rt60: s, in which the sound of an example's room decays by 60 dB, noise of as much energy as the direct path; snr: dB, of white noise in
    an example; others: of `Restore`, whose network is asked without its condition here.
    """

    given_names = ("response", "noise")

    def __init__(
        self, domain, *, rt60: float = 0.3, snr: float = 40.0, method: str = "mmps(iterations=10)", solver: str | None = "ddpm",
        steps: int | None = 40, grid: str | None = "logsnr", **restore,
    ):  # fmt: skip
        super().__init__(domain, method=method, solver=solver, steps=steps, grid=grid, **restore)
        self.rt60, self.snr = rt60, snr

    @classmethod
    def check(cls, config, options):
        need(options, "rt60", SHORTEST <= options["rt60"] <= LONGEST, f"{SHORTEST:g} to {LONGEST:g} s")
        need(options, "snr", 0 <= options["snr"] <= 80, "0 to 80 dB")
        need(options, "method", options["method"], "a guide, such as 'mmps(iterations=10)': the network was told of no rooms")
        super().check(config, options)

    def hurt(self, rng, wave):
        response = room(rng, self.rt60, self.domain.rate)[: len(wave)]
        heard = scipy.signal.oaconvolve(wave, response)[: len(wave)]
        noise = float(np.sqrt(np.mean(heard**2)) * 10 ** (-self.snr / 20))
        sound = self.as_sound(heard + noise * rng.standard_normal(len(wave)))
        return in_room(sound, response, noise)

    def asked(self, brought, truth=None):
        domain, sound = self.domain, brought.sound
        by_classical = dry(brought, domain.rate)
        heard, level = resample(sound.samples, sound.rate, domain.rate), resample(by_classical, sound.rate, domain.rate)
        scale = REFERENCE / max(active_level(level, domain.rate), 1e-9)
        length = max(-(-len(heard) // domain.bins) * domain.bins, domain.samples)
        padded = np.pad(heard * scale, [(0, length - len(heard)), (0, 0)])
        beyond = np.broadcast_to(np.arange(length)[:, None] >= len(heard), padded.shape)  # of the recording's end
        mixing = None if sound.channels == 1 else components(level * scale, domain.rate)
        part = Part((), padded, beyond, np.zeros(padded.shape), None, brought.noise * scale, mixing)
        if truth is None:
            truth = np.full((length // domain.bins, domain.bins, sound.channels), np.nan, np.float32)
        extras = {"brought": brought, "segments": Segments(part, (0,), length, scale, heard), "classical": by_classical}
        extras |= {"title": brought.title} if brought.title else {}
        return Problem(heard_through(part, brought, domain), (truth * scale).astype(np.float32), None, extras)

    @property
    def takes(self):
        return (
            "a sound (wav, flac, ogg, mp3, ...) of any rate and length, and the impulse response of its room as response=FILE, whose "
            f"channels are averaged; noise=LEVEL of the recording, full scale is 1 or as '-60 dB', else {QUIET:g} dB below it"
        )

    def problem_given(self, key, given):
        sound, said = sort_out(given, self.takes)
        if "response" not in said or "gaps" in said:
            lacks = "lacks response=FILE" if "response" not in said else f"{said['gaps']}: is no sound"
            raise UserError(f"--given {lacks}; expected {self.takes}")
        response, name = read_response(said["response"], sound), Path(sound.source).name
        if not active_level(sound.samples, sound.rate) > 1e-6:
            raise UserError(f"{sound.source}: is silent; expected a sound")
        noise = find_noise(sound, said.get("noise"), self.domain.rate)
        if noise is None:
            noise = active_level(resample(sound.samples, sound.rate, self.domain.rate), self.domain.rate) * 10 ** (-QUIET / 20)
        title = f"{name}: room of {len(response) / sound.rate:.2f} s, {words_of_noise(noise, sound, self.domain.rate)}"
        say_read(title, sound, self.domain.rate, "Wiener deconvolution")
        return self.asked(replace(in_room(sound, response, noise), title=title))

    def write_given(self, problem, folder):
        brought = problem.extras["brought"]
        write_sound(brought.sound, folder / "sound.wav")
        write_sound(replace(brought.sound, samples=brought.response[:, None], subtype="DOUBLE"), folder / "room.wav")
        return [str(folder / "sound.wav"), f"response={folder / 'room.wav'}", f"noise={brought.noise!r}"]

    def answers(self, problem):
        """`Wiener deconvolution`, told the response and the noise."""
        return {"Wiener deconvolution": self.classical(problem)}


def heard_through(part: Part, brought: Reverberant, domain) -> lookahead.Observation:
    """Of all of a sound: (B, frames, bins, C) normalised coefficients -> (B, samples, C) as they are heard in the room, `Whitened` by what
    sounds and noise have on average, so that the few iterations of a guide see a room that is nearly flat."""
    taps, direct = at_rate(brought, domain.rate)
    count = int((~part.gap[:, 0]).sum())  # beyond the recording's end nothing is heard
    places = np.abs(np.fft.fftfreq(count)) * 2
    power = np.interp(places, (np.arange(domain.bins) + 0.5) / domain.bins, domain.std**2)
    through = np.abs(np.fft.fft(taps, max(count, len(taps)))) ** 2
    through = np.interp(places, np.abs(np.fft.fftfreq(len(through)))[: len(through) // 2] * 2, through[: len(through) // 2])
    white = Whitened(jnp.asarray((through * power + part.noise**2) ** -0.5, jnp.float32))
    operator = lookahead.operators.Compose(part.wave(domain), Filtered(jnp.asarray(taps, jnp.float32), direct), white)
    return lookahead.Observation(operator, white(jnp.asarray(part.heard[None], jnp.float32))[0], part.noise * white.gains[:, None])


def room(rng: np.random.Generator, rt60: float, rate: float) -> np.ndarray:
    """(round(rt60 rate),) a direct path of 1 at first, then white noise of as much energy, whose power falls by 60 dB in rt60 seconds.

    (Polack 1988; Jot, Cerveau, Warusfel 1997)
    """
    time = np.arange(max(round(rt60 * rate), 2)) / rate
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / rt60)
    tail[0] = 0.0
    response = tail / np.sqrt((tail**2).sum())
    response[0] = 1.0
    return response


def in_room(sound: Sound, response: np.ndarray, noise: float) -> Reverberant:
    """response: (m,) at the sound's rate, of any gain; noise: as of `Brought`."""
    direct = int(np.abs(response).argmax())
    nothing = np.zeros(sound.samples.shape)
    return Reverberant(sound, nothing > 0, nothing, noise=noise, response=response / response[direct], direct=direct)


def read_response(said, sound: Sound) -> np.ndarray:
    """(m,) at the sound's rate, mean over channels. said: a file, or a `Sound`. Raises: UserError of what is none for this sound."""
    if not isinstance(said, (Path, Sound)):
        raise UserError(f"--given response={said}: no such file; expected a sound, the impulse response of the room")
    found = read_sound(said) if isinstance(said, Path) else said
    name = found.source or "response"
    if found.seconds > sound.seconds:
        raise UserError(
            f"{name}: is {found.seconds:.2f} s long, the sound only {sound.seconds:.2f} s; expected the response of a room, without the "
            "silence after it"
        )
    if not np.abs(found.mono()).max() > 1e-9:
        raise UserError(f"{name}: is silent, as the mean of its channels; expected the response of a room")
    return resample(found.mono(), found.rate, sound.rate, name)


def at_rate(brought: Reverberant, rate: int) -> tuple[np.ndarray, int]:
    """((taps,) at another rate, of which one is the direct path): what is convolved and then resampled as if in the other order."""
    old = brought.sound.rate
    if old == rate:
        return brought.response, brought.direct
    step = old // np.gcd(old, rate)  # samples after which both rates meet
    around = -(-round(AROUND * max(old / rate, 1.0)) // step) * step
    before = around + -brought.direct % step
    taps = resample(np.pad(brought.response, (before, around)), old, rate) * (old / rate)
    return taps, int((before + brought.direct) // step * (rate // np.gcd(old, rate)))


def dry(brought: Reverberant, rate: float) -> np.ndarray:
    """(n, channels) of the sound by Wiener deconvolution. rate: Hz, at which the noise is known."""
    noise = brought.noise * max(brought.sound.rate / rate, 1.0) ** 0.5
    longer = np.pad(brought.sound.samples, [(brought.direct, 0), (0, 0)])  # by as much as the response is late
    found = [spectral.wiener_deconvolution(channel, brought.response, noise) for channel in longer.T]
    return np.stack(found, 1)[: len(brought.sound.samples)]
