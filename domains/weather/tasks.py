"""What one does with radar sequences: forecast, sharpen, fill, interpolate; assimilate.py has the gauges, extended.py the longer and wider.

In all of them x is a window of past and future frames, scored on those frames that the task asks for, in dBZ.
"""

import dataclasses
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from domains.weather import baselines, verify
from domains.weather.given_tasks import TakesCoarse, TakesFewer, TakesGaps, TakesPast
from domains.weather.outage import outage
from domains.weather.transform import decode, encode
from sciddm import lookahead
from sciddm.keys import seed_of
from sciddm.tasks import BlockMeans, Problem, Steered, Task, need
from sciddm.tasks.block_means import UNSEEN


class WeatherTask(Task):
    """Shared by all: how answers are scored and drawn. scored: which frames count; conditioned: whether the network is given the past."""

    conditioned = True

    @property
    def scored(self):
        return slice(self.domain.past, None)

    def condition(self, example):
        """cond of all members for a window whose missing pixels are NaN."""
        return jax.tree.map(lambda leaf: leaf[None], self.domain.condition(example)) if self.conditioned else None

    def metrics(self, samples, problem):
        forecast = self.as_forecast(samples)
        truth = self.as_forecast(problem.truth[None]).isel(member=0, drop=True)
        return task_scores(forecast, truth)

    def as_forecast(self, samples) -> xr.DataArray:
        """(member, time, y, x) dBZ of the frames that are scored; NaN stays."""
        native = self.domain.to_native(np.asarray(samples))["reflectivity"].rename(sample="member")
        return native.isel(time=self.scored)

    def plot(self, samples, problem, answers):
        from domains.weather import plots

        if "brought" in (problem.extras or {}):
            return self.plot_brought(samples, problem)
        answers = {name: self.domain.to_native(x[None] if x.ndim == 3 else x) for name, x in answers.items()}
        truth, members = self.domain.to_native(problem.truth[None]), self.domain.to_native(samples)
        return plots.comparison(truth, members, answers, self.drawn, given=self.given_of(problem), **self.marks(problem))

    @property
    def drawn(self):
        """The frames of which a picture shows some."""
        return self.scored

    def given_of(self, problem):
        """(frames, y, x) dBZ, NaN where nothing is known; None where whole frames or points are given, which `marks` has."""
        return None

    def marks(self, problem):
        """`framed` and `gauges` of `plots.comparison`."""
        return {}

    def classical(self, x, count: int, seed: int = 0) -> dict:
        """Forecasts (frames, y, x) or (members, ...) dBZ from the past of x: persistence; with pysteps extrapolation and STEPS-20."""
        past = past_of(x, self.domain)
        answers = {"persistence": baselines.persistence(past, count)}
        if has_pysteps():
            flow = baselines.motion(past)
            answers["extrapolation"] = baselines.extrapolation(past, count, flow)
            answers["STEPS-20"] = self.steps(past, count, flow, seed)
        return answers

    def steps(self, past, count, flow, seed):
        """STEPS on the domain's own grid."""
        grid = {"kmperpixel": self.domain.spacing, "timestep": self.domain.interval}
        return baselines.steps(past, frames=count, flow=flow, seed=seed, **grid)


def task_scores(forecast, truth) -> dict[str, float]:
    """Scores of one problem: fair CRPS in dBZ and its values at lead times, spread over skill, CSI, FSS, error of the spectrum."""
    by_lead = verify.crps(forecast, truth)
    side = min(truth.sizes["y"], truth.sizes["x"])  # a spectrum is of a square
    square = {"y": slice(side), "x": slice(side)}
    scores = {"CRPS": verify.crps(forecast, truth, by=())}
    scores |= {f"at {lead} min": score for lead, score in verify.at_leads(by_lead, (5, 15, 30, 60, 120, 180)).items()}
    scores |= {
        "spread/skill": verify.spread_skill(forecast, truth, by=()),
        "CSI 25 dBZ": verify.categorical(forecast, truth, 25.0, by=()).CSI,
        "FSS 25 dBZ": verify.fss(forecast, truth, 25.0),
        "spectrum dB": verify.spectrum_error_dB(forecast.isel(square), truth.isel(square))["mean"],
    }
    return {name: float(value) for name, value in scores.items()}


class Nowcast(TakesPast, WeatherTask):
    """The future frames from the past ones, on which the network was conditioned in training: nothing is guided."""

    def problem(self, key, example):
        return Problem(truth=example, cond=self.condition(example), extras={"seed": seed_of(key)})

    def baseline(self, problem):
        """persistence; with pysteps optical-flow extrapolation and a STEPS ensemble of 20."""
        answers = self.classical(problem.truth, self.domain.future, problem.extras["seed"])
        return {name: with_past(problem.truth, answer, self.domain) for name, answer in answers.items()}


class Observed(WeatherTask, Steered):
    """Shared by the tasks that are steered by pixels. noise_dbz: of what is seen; others: of `Steered`."""

    def __init__(self, domain, *, noise_dbz: float = 1.0, **steered):
        super().__init__(domain, **steered)
        self.noise_std = float(noise_dbz / domain.normalizer.std)

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        need(options, "noise_dbz", 0 < options["noise_dbz"] < np.inf, "a number above 0")

    def masked(self, example, seen) -> lookahead.Observation:
        """Those pixels of a window that `seen` (like it) has and that are not missing."""
        seen = seen & ~np.isnan(example)
        normal = self.domain.normalizer.normalize(np.where(seen, example, self.domain.normalizer.mean))
        mask = jnp.asarray(seen, jnp.float32)
        return lookahead.Observation(lookahead.operators.Mask(mask), jnp.asarray(normal) * mask, self.noise_std)


class Downscale(TakesCoarse, BlockMeans, Observed):
    """All frames from block means, with nothing else known; blocks with missing pixels are not seen.

    Options: of `BlockMeans` and `Observed`.
    """

    conditioned, scored = False, slice(None)

    def problem(self, key, example):
        return dataclasses.replace(super().problem(key, example), extras={"seed": seed_of(key)})

    def given_of(self, problem):
        seen = problem.observation
        coarse = self.domain.normalizer.denormalize(np.asarray(seen.value))
        coarse = np.where(np.broadcast_to(seen.noise.std, coarse.shape) < UNSEEN, coarse, np.nan)
        return np.moveaxis(decode(coarse.repeat(self.factor, 0).repeat(self.factor, 1)), -1, 0)

    def baseline(self, problem):
        """Cubic splines through the block means of dBZ; with pysteps RainFARM, an ensemble of 8."""
        factor = self.factor
        frames = baselines.filled(np.moveaxis(decode(problem.truth), -1, 0))
        coarse = frames.reshape(len(frames), frames.shape[1] // factor, factor, -1, factor).mean((2, 4))
        answers = {"cubic": baselines.bicubic(coarse, factor)}
        if has_pysteps():
            seed = problem.extras["seed"]
            drawn = [
                baselines.rainfarm(frame, factor, members=8, seed=(seed + i) % 2**32, of="dBZ")
                for i, frame in enumerate(coarse)
            ]
            answers["RainFARM-8"] = np.stack(drawn, 1)
        return {name: encode(np.moveaxis(answer, -3, -1).astype(np.float32)) for name, answer in answers.items()}


class Fill(TakesGaps, Observed):
    """What a radar did not see: a sector of every frame, or all of a few frames, from what is around it in space and time.

    The network is conditioned on the past with its holes, and steered by the rest.
    """

    scored = slice(None)

    def problem(self, key, example):
        hidden = outage(np.random.default_rng(seed_of(key)), example.shape)
        cond = self.condition(np.where(hidden, np.nan, example))
        return Problem(self.masked(example, ~hidden), example, cond=cond, extras={"hidden": hidden})

    def given_of(self, problem):
        return np.moveaxis(decode(np.where(problem.extras["hidden"], np.nan, problem.truth)), -1, 0)

    def metrics(self, samples, problem):
        # Only what was hidden is scored.
        truth = np.where(problem.extras["hidden"], problem.truth, np.nan)
        return super().metrics(samples, Problem(problem.observation, truth))

    def baseline(self, problem):
        """Linear within each frame, and in time where there is no such frame; with pysteps neighbours in time carried along the flow."""
        frames = np.moveaxis(np.where(problem.extras["hidden"], np.nan, decode(problem.truth)), -1, 0)
        linear = xr.DataArray(baselines.inpaint(frames), dims=("time", "y", "x"))
        linear = linear.interpolate_na("time").ffill("time").bfill("time").fillna(0.0).values
        answers = {"linear": linear}
        if has_pysteps():
            answers["advected neighbours"] = baselines.inpaint_advected(frames)
        return {name: encode(np.moveaxis(answer, 0, -1).astype(np.float32)) for name, answer in answers.items()}


class Interpolate(TakesFewer, Observed):
    """Frames between frames. every: so many frames apart are those which are seen; others: of `Observed`."""

    conditioned = False

    def __init__(self, domain, *, every: int = 3, **observed):
        super().__init__(domain, **observed)
        self.seen = np.arange(0, domain.length, every)

    @property
    def scored(self):
        return np.setdiff1d(np.arange(self.seen[-1]), self.seen)

    @property
    def drawn(self):
        return slice(0, self.seen[min(2, len(self.seen) - 1)] + 1)  # from a frame that is seen to one that is, and what lies between

    def marks(self, problem):
        return {"framed": self.seen}

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        length = config.data.past + config.data.future
        need(options, "every", 2 <= options["every"] < length, f"2 or more, and less than the {length} frames of a window")

    def problem(self, key, example):
        seen = np.zeros(example.shape, bool)
        seen[..., self.seen] = True
        return Problem(self.masked(example, seen), example)

    def baseline(self, problem):
        """Linear in dBZ; with pysteps morphing along the optical flow."""
        ways = {"linear": baselines.interpolate_in_time} | ({"morphing": baselines.morph} if has_pysteps() else {})
        seen = np.where(np.isin(np.arange(self.domain.length), self.seen), decode(problem.truth), np.nan)
        frames = baselines.filled(np.moveaxis(seen, -1, 0))
        answers = {}
        for name, between in ways.items():
            filled = frames.copy()
            for a, b in zip(self.seen[:-1], self.seen[1:], strict=True):
                filled[a + 1 : b] = between(frames[a], frames[b], b - a - 1)
            answers[name] = encode(np.moveaxis(filled, 0, -1).astype(np.float32))
        return answers


def has_pysteps() -> bool:
    """Whether the baselines of the extra sciddm[weather] are there."""
    return importlib.util.find_spec("pysteps") is not None


def past_of(x, domain):
    """(past, y, x) dBZ of a window, NaN where missing."""
    return np.moveaxis(decode(x[..., : domain.past]), -1, 0)


def with_past(truth, future, domain):
    """A window whose past is the truth's: future (..., frames, y, x) dBZ -> (..., y, x, length) as x."""
    future = encode(np.moveaxis(np.asarray(future, np.float32), -3, -1))
    past = np.broadcast_to(truth[..., : domain.past], (*future.shape[:-1], domain.past))
    return np.concatenate([past, future], -1)
