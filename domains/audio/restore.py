"""Damaged sounds restored: what all tasks of it share.

The network is conditioned on what is heard and on what is wrong with it, windows agree on any length, and what is known for certain is put
back at every step. A task says which damage an example is given, and beside which classical methods answers stand.
"""

import abc

import numpy as np

from domains.audio import metrics
from domains.audio.brought import NAMES, Brought, read_given
from domains.audio.mdct import imdct, mdct
from domains.audio.merged import as_given, classical
from domains.audio.segments import cut_out
from domains.audio.sound import Sound
from domains.audio.written import write_sound
from sciddm import lookahead
from sciddm.keys import seed_of
from sciddm.lookahead.by_name import guide, named_guide
from sciddm.tasks import Problem, Wide

SOFT = 1e-3  # full scale at the reference level: how well heard samples are met by a method that divides by it


class Restore(Wide):
    """Abstract: sounds restored. method: "" for what the network says of the damage and what is certain put back, or a guide of
    `sciddm.lookahead.GUIDES`, of the network without its condition; others: of `Wide`."""

    kinds: tuple[str, ...] = ()  # damages that are looked for in what a user brings
    given_names = NAMES

    def __init__(self, domain, *, method: str = "", overlap: float = 0.25, **wide):
        super().__init__(domain, method=method, overlap=overlap, **wide)

    @classmethod
    def check(cls, config, options):
        if options["method"]:
            try:
                named_guide(options["method"])
            except ValueError as error:
                raise ValueError(f"method: {error}") from error
        super().check(config, options | {"method": options["method"] or "mmps"})

    def examples(self):
        """Held-out clips of three seconds."""
        return self.domain.clips

    def as_sound(self, wave) -> Sound:
        """(samples,) as of a file."""
        return Sound(wave.astype(np.float32).astype(np.float64)[:, None], self.domain.rate, "FLOAT")

    def asked(self, brought: Brought, truth=None) -> Problem:
        """The problem of a damaged sound. truth: (frames, bins, 1) of all of it, None where it is not known."""
        domain = self.domain
        by_classical = classical(brought, domain.rate)
        segments = cut_out(brought, by_classical, domain, whole=truth is not None)
        part = segments.part
        said = domain.said.given(brought.said)
        rows = [one.condition(domain.std, domain.rate, said) for one in part.damages]
        cond = {name: np.concatenate([row[name] for row in rows], 2)[None] for name in rows[0]}
        if truth is None:
            truth = np.full(cond["concat"].shape[1:4], np.nan, np.float32)
        extras = {"brought": brought, "segments": segments, "classical": by_classical}
        extras |= {"title": brought.title} if brought.title else {}
        return Problem(part.observation(domain, SOFT), (truth * segments.scale).astype(np.float32), cond, extras)

    def views(self, shape):
        frames, _, components = shape
        window, _ = self.window
        stride = max(int(window * (1 - self.overlap)), 1)
        return lookahead.patches((frames, components), (window, 1), (stride, 1), (1, 3))

    def guide(self, denoiser, problem):
        whole = lookahead.synchronize(denoiser, self.views(problem.truth.shape), strategy=self.strategy, chunk=self.chunk)
        if self.method:
            return guide(whole, problem.observation, self.method)
        segments = problem.extras.get("segments")
        certain = None if segments is None else segments.part.certain(self.domain)
        return whole if certain is None else lookahead.constrain(whole, certain)

    def solve(self, model, key, problem, members, **options):
        if self.method:  # which meets what is heard by itself
            problem = Problem(problem.observation, problem.truth, None, problem.extras)
        return super().solve(model, key, problem, members, **options)

    @property
    def takes(self):
        return (
            f"a sound (wav, flac, ogg, mp3, ...) of any rate and length; {self.asks}; others at once by gaps=FILE or gaps='1.2-1.3', "
            "clip=LEVEL, cutoff=HZ, noise=LEVEL, each of them auto to have it found; full scale is 1, LEVEL also as '-20 dB'"
            + (f"; {self.domain.said.asks}" if self.domain.said.asks else "")
        )

    asks = ""

    def problem_given(self, key, given):
        return self.asked(read_given(given, self.kinds, self.domain.rate, self.takes))

    def write_given(self, problem, folder):
        brought = problem.extras["brought"]
        file = folder / "sound.wav"
        write_sound(brought.sound, file)
        found = [str(file)]
        if brought.gap.any():
            lines = [f"{start:.9f}\t{stop:.9f}\tgap" for start, stop in brought.marks]
            (folder / "gaps.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
            found.append(str(folder / "gaps.txt"))
        level = float(np.abs(brought.sound.samples[brought.side != 0]).max(initial=0.0))
        values = {"clip": level or None, "cutoff": brought.cutoff, "noise": brought.noise}
        return [*found, *(f"{name}={value!r}" for name, value in values.items() if value is not None)]

    def known(self, problem) -> bool:
        """Whether the truth is known: a problem of an example."""
        return bool(np.isfinite(problem.truth).all())

    def to_native(self, samples, problem):
        if "brought" not in problem.extras or self.known(problem):
            return self.domain.to_native(samples)
        extras = problem.extras
        return as_given(np.asarray(samples), extras["brought"], extras["segments"], extras["classical"], self.domain)

    def waves(self, samples):
        """(..., samples) at the model's rate, of one component."""
        return imdct(np.asarray(samples, np.float64)[..., 0])

    def where(self, problem) -> np.ndarray | None:
        """(samples,) bool: the samples that answers are scored at; None for all."""
        return None

    def metrics(self, samples, problem):
        where = self.where(problem)
        members, truth = self.waves(samples), self.waves(problem.truth)
        mean, inside = members.mean(0), slice(None) if where is None else where
        each = lambda score: float(np.mean([score(one) for one in members]))  # noqa: E731
        return {
            "LSD [dB]": each(lambda one: metrics.log_spectral_distance(one, truth, where=where)),
            "SI-SDR of the mean [dB]": float(metrics.si_sdr(mean[inside], truth[inside])),
            "SI-SDR [dB]": each(lambda one: metrics.si_sdr(one[inside], truth[inside])),
            "PESQ": each(lambda one: metrics.pesq_nb(one, truth, self.domain.rate) or np.nan),
            "PESQ of the mean": metrics.pesq_nb(mean, truth, self.domain.rate) or np.nan,
        }

    def heard(self, problem) -> np.ndarray:
        """(samples,) what is given of an example at the reference level, 0 in gaps."""
        part = problem.extras["segments"].part
        return np.where(part.gap, 0.0, part.heard)[:, 0]

    def classical(self, problem) -> np.ndarray:
        """(samples,) of an example by the classical method."""
        return problem.extras["classical"][:, 0] * problem.extras["segments"].scale

    def answers(self, problem) -> dict[str, np.ndarray]:
        """(samples,) of the classical methods, by name."""
        return {}

    def baseline(self, problem):
        if not self.known(problem):
            return {}
        found = {"untreated": self.heard(problem), **self.answers(problem)}
        return {name: mdct(wave, self.domain.bins)[..., None].astype(np.float32) for name, wave in found.items()}

    def page(self, samples, problem, about):
        from domains.audio import page

        extras, rate, brought = problem.extras, self.domain.rate, problem.extras["brought"]
        if not self.known(problem):
            native = self.to_native(samples, problem)
            answers, rate, marks = native["waveform"].values, native.attrs["rate"], brought.marks
            rows = [page.Row("given", np.where(brought.gap, np.nan, brought.sound.samples), brought.sound.rate, group="given")]
            rows += [page.Row("classical method", extras["classical"], brought.sound.rate, group="baseline")]
        else:
            answers, marks = self.waves(samples)[..., None], brought.marks
            rows = [page.Row("truth", self.waves(problem.truth)[:, None], rate, group="truth")]
            rows += [page.Row("given", self.heard(problem)[:, None], rate, group="given")]
            rows += [page.Row(name, one[:, None], rate, group="baseline") for name, one in self.answers(problem).items()]
        rows += [page.Row(f"answer {i}", one, rate, group="answers") for i, one in enumerate(answers, 1)]
        return page.page(rows, title=extras.get("title", "a held-out example"), about=list(about.items()), marks=marks)

    def plot(self, samples, problem, answers):
        from domains.audio import plots

        brought = problem.extras["brought"]
        if not self.known(problem):
            native = self.to_native(samples, problem)["waveform"].values
            given = np.where(brought.gap.any(1), np.nan, brought.sound.mono())
            rows = [("given", given), *((f"answer {i + 1}", one.mean(-1)) for i, one in enumerate(native[:3]))]
            return plots.restoration(rows, brought.sound.rate, marks=brought.marks)
        members = self.waves(samples)
        rows = [("truth", self.waves(problem.truth)), ("given", self.heard(problem))]
        rows += [(name, self.waves(one)) for name, one in answers.items() if name != "untreated"]
        rows += [(f"answer {i + 1}", one) for i, one in enumerate(members[:3])]
        return plots.restoration(rows, self.domain.rate, marks=brought.marks)


class Damaged(Restore):
    """Abstract: tasks whose examples are held-out clips that are damaged."""

    def problem(self, key, example):
        wave = imdct(example[..., 0]).astype(np.float64)
        return self.asked(self.hurt(np.random.default_rng(seed_of(key)), wave), truth=example)

    @abc.abstractmethod
    def hurt(self, rng, wave) -> Brought:
        """An example, damaged. wave: (samples,) at the model's rate."""
