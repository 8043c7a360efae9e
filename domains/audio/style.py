"""Sounds like a reference: samples whose level in bands of frequency, in the long term and in its spread over time, is that of another."""

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from domains.audio.brought import FILTERED, sort_out
from domains.audio.levels import REFERENCE, active_level
from domains.audio.mdct import imdct, mdct
from domains.audio.network import sines
from domains.audio.sound import Sound, resample
from domains.audio.written import write_sound
from sciddm.errors import UserError
from sciddm.given import say
from sciddm.keys import seed_of
from sciddm.lookahead.by_name import GUIDES
from sciddm.named import parse
from sciddm.process import GaussianProcess
from sciddm.tasks import Problem, need
from sciddm.tasks.steered import Steered

MOST = 16  # bands, each of as many bins
QUIETEST = 60.0  # dB below the reference level: what is quieter counts as so quiet
UNKNOWN = 1e3  # dB, standard deviation of what a reference does not have, such as a band above its own
CHANCE = 4.343 * 2**0.5  # dB, standard deviation of a level of n Gaussian coefficients, times sqrt(n)
LEAST = 8  # frames, of a reference
POTENTIALS = tuple(name for name, made in GUIDES.items() if "potential" in inspect.signature(made).parameters)
TILT, PIVOT = 4.0, 1000.0  # dB an octave at most, and Hz, of what references of examples go through


class Levels(eqx.Module):
    """Long-term level of each band and its spread over frames, in dB: (B, frames, bins, 1) normalised -> (B, bands, 2).

        level_b = 10 log10 mean_fk (x_fk^2 + unknown std_k^2),   spread_b = standard deviation over f of
        l_fb = 10 log10 mean_k ((x_fk^2 + y_fk^2) / 2 + unknown std_k^2),   k in the band

    x, y: coefficients of a sound by cosines and by sines, x alone varies from frame to frame more than a sound does; std: (bins,) of x.
    """

    std: Any = eqx.field(converter=jnp.asarray)
    bands: int = eqx.field(static=True)

    def __call__(self, z, unknown=0.0):
        std = self.std[:, None]
        x, more = z * std, unknown * std**2
        in_bands = lambda power: power.reshape(*power.shape[:2], self.bands, -1).mean(-1)  # noqa: E731
        level = self._decibels(in_bands(x**2 + more).mean(1))
        frames = self._decibels(in_bands(0.5 * (x**2 + sines(x) ** 2) + more))
        spread = jnp.sqrt(((frames - frames.mean(1, keepdims=True)) ** 2).mean(1) + 1e-4)
        return jnp.stack([level, spread], -1)

    @staticmethod
    def _decibels(power):
        return 10 * jnp.log10(power + 10 ** (-QUIETEST / 10) * REFERENCE**2)


class Likeness(eqx.Module):
    """A potential: log density, but for a constant, of levels `wanted`, (bands, 2) dB, of standard deviations `error` like it.

    Where x_0 is expected and not yet known, its expectation is softer than it will be: the power of a unit prior that is unknown,
    sigma^2 / (alpha^2 + sigma^2), is added. Spreads count for as much as is known.
    """

    levels: Levels
    wanted: Any
    error: Any
    process: GaussianProcess | None = None  # None: x_0 is known whatever t is

    def __call__(self, z, t=0.0):
        unknown = jnp.zeros((1, 1))
        if self.process is not None:
            alpha, sigma = self.process.alpha(t), self.process.sigma(t)
            unknown = jnp.reshape(sigma**2 / (alpha**2 + sigma**2), (-1, 1))
        off = ((self.levels(z, unknown[..., None, None]) - self.wanted) / self.error) ** 2
        return -0.5 * (off[..., 0] + (1 - unknown) * off[..., 1]).sum(1)

    def tempered(self, strength) -> "Likeness":
        """To the power `strength`."""
        return replace(self, error=self.error / strength**0.5)


class Style(Steered):
    """Sounds that are like a reference: the same long-term spectrum in bands, and the same spread of it over time.

    method: a guide by a potential; others: of `Steered`. Levels are met as nearly as those of so many white coefficients are alike by
    chance, times strength^-1/2.
    """

    def __init__(
        self, domain, *, method: str = "steer(through='x0')", strength: float = 1.0, solver: str | None = "ddpm", steps: int | None = 40,
        grid: str | None = "logsnr",
    ):  # fmt: skip
        super().__init__(domain, method=method, strength=strength, solver=solver, steps=steps, grid=grid)
        bands = max(count for count in range(1, MOST + 1) if domain.bins % count == 0)
        self.levels = Levels(np.asarray(domain.std, np.float32), bands)

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        name = parse(options["method"])[0]
        fine = name not in GUIDES or name in POTENTIALS
        need(options, "method", fine, f"a guide by a potential, one of {', '.join(POTENTIALS)}")

    def examples(self):
        """Held-out clips."""
        return self.domain.clips

    def problem(self, key, example):
        """Of a clip whose spectrum is tilted, by up to `TILT` dB an octave."""
        rng, rate = np.random.default_rng(seed_of(key)), self.domain.rate
        wave = tilted(imdct(np.asarray(example[..., 0], np.float64)), rng.uniform(-TILT, TILT), rate)
        wave = wave * (REFERENCE / active_level(wave, rate))
        return self.asked(Sound(wave.astype(np.float32).astype(np.float64)[:, None], rate, "FLOAT"), known=True)

    def asked(self, sound: Sound, known: bool = False) -> Problem:
        """The problem of a reference. known: whether it is a sound of the data, and stands for the truth."""
        domain = self.domain
        wave = resample(sound.mono(), sound.rate, domain.rate)
        scale = REFERENCE / active_level(wave, domain.rate)
        x = mdct(wave[: len(wave) // domain.bins * domain.bins] * scale, domain.bins)[..., None].astype(np.float32)
        wanted = self.of(x[None])[0]
        edges = (np.arange(self.levels.bands) + 1) / self.levels.bands * domain.rate / 2
        heard = edges <= (domain.rate if sound.rate >= domain.rate else FILTERED * sound.rate) / 2
        chance = CHANCE / np.sqrt(domain.samples / self.levels.bands)
        error = np.where(heard[:, None], chance * np.array([1.0, 1.5]), UNKNOWN)
        potential = Likeness(self.levels, jnp.asarray(wanted), jnp.asarray(error, jnp.float32))
        truth = x[: domain.frames] if known else np.full(domain.example.shape, np.nan, np.float32)
        extras = {"sound": sound, "scale": scale, "wanted": wanted, "heard": heard, "title": Path(sound.source).name}
        return Problem(potential, truth, None, extras)

    def of(self, x) -> np.ndarray:
        """(B, bands, 2) dB of (B, frames, bins, 1) in physical units."""
        return np.asarray(self.levels(jnp.asarray(x, jnp.float32) / self.levels.std[:, None]))

    @property
    def takes(self):
        least = LEAST * self.domain.bins / self.domain.rate
        return (
            f"a sound (wav, flac, ogg, mp3, ...) of any rate, {least:.2g} s or longer, that others shall be like; "
            "several channels are averaged"
        )

    def problem_given(self, key, given):
        sound, said = sort_out(given, self.takes)
        if said:
            raise UserError(f"--given {next(iter(said.values()))}: is no sound; expected {self.takes}")
        if sound.seconds * self.domain.rate < LEAST * self.domain.bins:
            raise UserError(f"{sound.source}: is {sound.seconds:.3f} s long; expected {self.takes}")
        if not active_level(sound.mono(), sound.rate) > 1e-6:
            raise UserError(f"{sound.source}: is silent, as the mean of its channels; expected a sound")
        if sound.rate != self.domain.rate:
            low = min(FILTERED * sound.rate, self.domain.rate) / 2
            say(f"{Path(sound.source).name}: {sound.rate} Hz, the model {self.domain.rate}; both are compared up to {low:g} Hz")
        return self.asked(sound)

    def write_given(self, problem, folder):
        write_sound(problem.extras["sound"], folder / "reference.wav")
        return [str(folder / "reference.wav")]

    def guide(self, denoiser, problem):
        potential = replace(problem.observation, process=denoiser.process)
        return super().guide(denoiser, replace(problem, observation=potential))

    def to_native(self, samples, problem):
        """As of the domain, as loud as the reference."""
        return self.domain.to_native(np.asarray(samples) / np.float32(problem.extras["scale"]))

    def controls(self, model, key, problem, members):
        """`unsteered` samples, and `equalised`: those through a filter that gives each its long-term level in every band."""
        free = np.asarray(model.draw(jax.random.fold_in(key, 2), members, **self.sampling))
        extras, bins, bands = problem.extras, self.domain.bins, self.levels.bands
        lacks = np.where(extras["heard"], extras["wanted"][:, 0] - self.of(free)[..., 0], 0.0)
        middles = (np.arange(bands) + 0.5) * bins / bands - 0.5
        gains = np.stack([10 ** (np.interp(np.arange(bins), middles, one) / 20) for one in lacks])
        return {"unsteered": free, "equalised": (free * gains[:, None, :, None]).astype(np.float32)}

    def metrics(self, samples, problem):
        """Root mean squares over bands of what levels and their spreads differ by from the reference's, mean over members."""
        heard = problem.extras["heard"]
        off = np.sqrt(((self.of(samples) - problem.extras["wanted"])[:, heard] ** 2).mean(1)).mean(0)
        return {"long-term spectrum off by [dB]": float(off[0]), "spread over time off by [dB]": float(off[1])}

    def _rows(self, samples, problem):
        # (label, (samples,), rate), the reference first, at its own level
        sound = problem.extras["sound"]
        waves = imdct(np.asarray(samples, np.float64)[..., 0]) / problem.extras["scale"]
        return [("reference", sound.mono(), sound.rate), *((f"answer {i}", one, self.domain.rate) for i, one in enumerate(waves, 1))]

    def plot(self, samples, problem, answers):
        from domains.audio import plots

        rows, rate = self._rows(samples[:3], problem), self.domain.rate
        waves = [resample(wave, own, rate)[: self.domain.samples] for _, wave, own in rows]
        return plots.gallery(waves, rate, [label for label, _, _ in rows])

    def page(self, samples, problem, about):
        from domains.audio import page

        rows = self._rows(samples, problem)
        rows = [page.Row(label, wave[:, None], rate, group="given" if i == 0 else "answers") for i, (label, wave, rate) in enumerate(rows)]
        return page.page(rows, title=problem.extras["title"] or "a held-out example, tilted", about=list(about.items()))


def tilted(wave: np.ndarray, slope: float, rate: float) -> np.ndarray:
    """(n,) through a filter whose gain is `slope` dB an octave, 0 dB at `PIVOT`, and level below a tenth of it."""
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(wave), 1 / rate), 0.1 * PIVOT) / PIVOT)
    return np.fft.irfft(np.fft.rfft(wave) * 10 ** (slope * octaves / 20), len(wave))
