"""Two kinds of sound in one recording taken apart, by a model of each: stems that are likely, and add up to what is heard."""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from domains.audio import metrics, spectral
from domains.audio.both import Both
from domains.audio.brought import sort_out
from domains.audio.levels import REFERENCE, active_level
from domains.audio.mdct import imdct, mdct
from domains.audio.sound import Sound, resample
from domains.audio.written import write_sound
from sciddm import lookahead
from sciddm.errors import UserError
from sciddm.given import say
from sciddm.keys import seed_of
from sciddm.lookahead.by_name import guide
from sciddm.tasks import Problem, Wide, need

LEARNT = 30.0  # s of each kind, of which the classical method learns spectra


class Mixture(eqx.Module):
    """What is heard of components together: (B, frames, bins, C) normalised -> (B, samples). std: (bins, C) of their coefficients."""

    std: Any = eqx.field(converter=jnp.asarray)

    def __call__(self, z):
        return imdct((z * self.std).sum(-1))


class Separate(Wide):
    """A mixture of two kinds of sound taken apart: `own`, which this run was trained on, and `other`, which a second run was.

    The mixture is brought to the reference level. The run of configs/audio.py:notes knows notes of levels at random, up to 6 dB from the
    reference. Answers are (frames, bins, 2), and files of two channels: the left one is `own`, the right one `other`.

    other: workdir of the second run, of the same rate, bins and process; a run without it has no such task. snr: dB, how exactly stems add
    up to the mixture; ratio: dB, level of `own` over that of `other` in examples; others: of `Wide`.
    """

    given_names = ()
    stems = ("own", "other")

    def __init__(
        self, domain, *, other: str = "", snr: float = 40.0, ratio: float = 0.0, overlap: float = 0.25, strategy: str = "x0",
        chunk: int = 4, method: str = "mmps(iterations=5)", solver: str | None = "ddpm", steps: int | None = 40,
        grid: str | None = "logsnr",
    ):  # fmt: skip
        super().__init__(
            domain, overlap=overlap, strategy=strategy, chunk=chunk, method=method, solver=solver, steps=steps, grid=grid
        )
        self.other, self.snr, self.ratio = other, snr, ratio

    @classmethod
    def fits(cls, config):
        return bool(config.tasks.get("separate", {}).get("other", ""))

    @classmethod
    def check(cls, config, options):
        need(options, "snr", 10 <= options["snr"] <= 80, "10 to 80 dB")
        need(options, "ratio", -30 <= options["ratio"] <= 30, "-30 to 30 dB")
        super().check(config, options)

    @cached_property
    def second(self):
        """The model of the other kind. Raises: UserError where there is none that goes with this one."""
        from sciddm.model import load  # which makes domains and their tasks

        where, mine = f"config.tasks.separate.other = {self.other}", self.domain
        try:
            found = load(self.other)
        except UserError as error:
            raise UserError(f"config.tasks.separate.other: {error}, such as one of configs/audio.py:notes") from error
        theirs = found.domain
        if theirs.name != mine.name:
            raise UserError(f"{where}: is a run of {theirs.name}; expected one of sounds, such as of configs/audio.py:notes")
        if (theirs.rate, theirs.bins) != (mine.rate, mine.bins):
            raise UserError(
                f"{where}: hears {theirs.rate} Hz in {theirs.bins} bins, this run {mine.rate} Hz in {mine.bins}; expected the same "
                "config.data.rate and config.data.bins"
            )
        return found

    def depends(self, model):
        told = json.dumps(self.second.about, sort_keys=True, default=str)
        return hashlib.sha256(told.encode()).hexdigest()

    def examples(self):
        """Held-out clips of the own kind."""
        return self.domain.clips

    def problem(self, key, example):
        rng, rate = np.random.default_rng(seed_of(key)), self.domain.rate
        own = imdct(np.asarray(example[..., 0], np.float64))
        other = self.beside(rng, len(own))
        other = other * (active_level(own, rate) / max(active_level(other, rate), 1e-9) * 10 ** (-self.ratio / 20))
        mixture = own + other
        noise = active_level(mixture, rate) * 10 ** (-self.snr / 20)
        heard = (mixture + noise * rng.standard_normal(len(mixture))).astype(np.float32).astype(np.float64)
        return self.asked(Sound(heard[:, None], rate, "FLOAT"), np.stack([own, other]))

    def beside(self, rng, count: int) -> np.ndarray:
        """(count,) of a held-out sound of the other kind."""
        domain = self.second.domain
        file = int(rng.integers(len(domain.collections[1])))
        first = int(rng.integers(max(domain.collections[1].frames(file) - count, 0) + 1))
        return domain.sound("test", file, first, count)

    def asked(self, sound: Sound, stems=None) -> Problem:
        """The problem of a mixture. stems: (2, samples) that it is made of, None where they are not known."""
        domain, theirs = self.domain, self.second.domain
        wave = resample(sound.mono(), sound.rate, domain.rate)
        scale = REFERENCE / active_level(wave, domain.rate)
        length = max(-(-len(wave) // domain.bins) * domain.bins, domain.samples, theirs.samples)
        heard, there = np.zeros((2, length), np.float32)
        heard[: len(wave)], there[: len(wave)] = wave * scale, 1.0
        operator = lookahead.operators.Compose(Mixture(np.float32(np.stack([domain.std, theirs.std], 1))), lookahead.operators.Mask(there))
        observation = lookahead.Observation(operator, heard, REFERENCE * 10 ** (-self.snr / 20))
        truth = np.full((length // domain.bins, domain.bins, 2), np.nan, np.float32)
        if stems is not None:
            truth = np.moveaxis(mdct(stems * scale, domain.bins), 0, -1).astype(np.float32)
        return Problem(observation, truth, None, {"sound": sound, "scale": scale, "heard": heard, "title": Path(sound.source).name})

    @property
    def takes(self):
        return (
            "a sound (wav, flac, ogg, mp3, ...) of any rate and length, in which what this run was trained on and what "
            f"{self.other} was trained on are heard together; several channels are averaged"
        )

    def problem_given(self, key, given):
        sound, said = sort_out(given, self.takes)
        if said:
            raise UserError(f"--given {next(iter(said.values()))}: is no sound; expected {self.takes}")
        if not active_level(sound.mono(), sound.rate) > 1e-6:
            raise UserError(f"{sound.source}: is silent, as the mean of its channels; expected a sound")
        if sound.rate > self.domain.rate:
            say(f"the models hear up to {self.domain.rate / 2:g} Hz; what is above is left out of both stems")
        return self.asked(sound)

    def write_given(self, problem, folder):
        write_sound(problem.extras["sound"], folder / "mixture.wav")
        return [str(folder / "mixture.wav")]

    def guide(self, denoiser, problem):
        frames = len(problem.truth)
        parts = [(denoiser, self.domain), (self.second.denoiser, self.second.domain)]
        try:
            whole = Both(tuple(self._long(one, domain, frames) for one, domain in parts))
        except ValueError as error:
            raise UserError(f"config.tasks.separate.other = {self.other}: {error}") from error
        return guide(whole, problem.observation, self.method)

    def _long(self, denoiser, domain, frames):
        stride = max(int(domain.frames * (1 - self.overlap)), 1)
        views = lookahead.windows(frames, window=domain.frames, stride=stride)
        return lookahead.synchronize(denoiser, views, strategy=self.strategy, chunk=self.chunk)

    def solve(self, model, key, problem, members, progress=False, **options):
        like = jax.ShapeDtypeStruct(np.shape(problem.truth), np.float32)
        guided = self.guided(model.denoiser, problem)
        found = np.array(model.draw(key, members, denoiser=guided, shape=like, progress=progress, **self.sampling | options))
        found[..., 1] *= (self.second.domain.std / self.domain.std).astype(np.float32)  # in the other one's units
        return found

    def to_native(self, samples, problem):
        """Dataset `waveform` (member, time, stem) in full scale 1, at the rate and level of the mixture; time in seconds."""
        sound, rate = problem.extras["sound"], self.domain.rate
        waves = np.moveaxis(self.waves(samples), 1, 2) / problem.extras["scale"]
        count = len(sound.samples)
        found = [resample(one[: round(count * rate / sound.rate)], rate, sound.rate) for one in waves]
        found = np.stack([np.pad(one[:count], [(0, max(count - len(one), 0)), (0, 0)]) for one in found]).astype(np.float32)
        return xr.Dataset(
            {"waveform": (("member", "time", "stem"), found, {"units": "1", "long_name": "waveform, full scale is 1"})},
            {"time": xr.Variable("time", np.arange(count) / sound.rate, {"units": "s"}), "stem": list(self.stems)},
            {"rate": sound.rate, "subtype": sound.subtype, "format": sound.format, "source": sound.source},
        )

    def waves(self, samples) -> np.ndarray:
        """(..., frames, bins, 2) -> (..., 2, samples)."""
        return imdct(np.moveaxis(np.asarray(samples, np.float64), -1, -3))

    def metrics(self, samples, problem):
        """Scale-invariant ratios of signal to distortion of each stem, and by how much they exceed those of the mixture."""
        members, truth, heard = self.waves(samples), self.waves(problem.truth), problem.extras["heard"].astype(np.float64)
        found = {}
        for i, name in enumerate(self.stems):
            each = float(np.mean(metrics.si_sdr(members[:, i], truth[i])))
            mean = float(metrics.si_sdr(members[:, i].mean(0), truth[i]))
            before = float(metrics.si_sdr(heard, truth[i]))
            found |= {f"SI-SDR, {name} [dB]": each, f"SI-SDR of the mean, {name} [dB]": mean}
            found |= {f"improvement, {name} [dB]": each - before, f"improvement of the mean, {name} [dB]": mean - before}
        return found

    @cached_property
    def learnt_from(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Sounds of both kinds that the runs were trained on, of `LEARNT` seconds each."""
        return _some(self.domain), _some(self.second.domain)

    def baseline(self, problem):
        """`untreated`: the mixture as both stems; `NMF`: factors of spectrograms, learnt of what both runs were trained on."""
        from threadpoolctl import threadpool_limits  # comes with what factors the spectrograms

        heard = problem.extras["heard"].astype(np.float64)
        with threadpool_limits(1):  # of small matrices several threads wait for each other most of the time
            factored = spectral.nmf_separate(heard, *self.learnt_from, rate=self.domain.rate)
        found = {"untreated": (heard, heard), "NMF": factored}
        as_x = lambda stems: np.moveaxis(mdct(np.stack(stems), self.domain.bins), 0, -1).astype(np.float32)  # noqa: E731
        return {name: as_x(stems) for name, stems in found.items()}

    def _rows(self, samples, problem, answers):
        # (group, label, (samples,)) at the model's rate and the reference level
        rows = [("given", "given", problem.extras["heard"].astype(np.float64))]
        named = [("baseline", name, answer) for name, answer in answers.items() if name != "untreated"]
        if np.isfinite(problem.truth).all():
            named = [("truth", "truth", problem.truth), *named]
        named += [("answers", f"answer {i}", one) for i, one in enumerate(samples, 1)]
        for group, name, answer in named:
            rows += [(group, f"{name}, {stem}", wave) for stem, wave in zip(self.stems, self.waves(answer), strict=True)]
        return rows

    def plot(self, samples, problem, answers):
        from domains.audio import plots

        given, *pairs = self._rows(samples[:2], problem, answers)
        _, labels, waves = zip(*pairs[:6], given, strict=True)  # both stems beside each other
        return plots.gallery(waves, self.domain.rate, labels, columns=2)

    def page(self, samples, problem, about):
        from domains.audio import page

        rows, rate = self._rows(samples, problem, self.baseline(problem)), self.domain.rate
        rows = [page.Row(label, wave[:, None], rate, group=group) for group, label, wave in rows]
        return page.page(rows, title=problem.extras["title"] or "a held-out example", about=list(about.items()))


def _some(domain) -> list[np.ndarray]:
    files, left, found = domain.collections[0], round(LEARNT * domain.rate), []
    for i in range(len(files)):
        found.append(domain.sound("train", i, 0, min(files.frames(i), left)))
        left -= len(found[-1])
        if left <= 0:
            break
    return found
