"""What one does with radar sequences: forecast, assimilate gauges, sharpen, fill, interpolate; extended.py has the longer and wider.

In all of them x is a window of past and future frames, scored on those frames that the task asks for, in dBZ.
"""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from domains.weather import baselines, plots, verify
from domains.weather.outage import outage
from domains.weather.transform import decode, encode
from sciddm import lookahead
from sciddm.domain import Problem, Task
from sciddm.errors import UserError

# Every method that takes an Observation; those named second are told `guidance.iterations`.
GUIDES = {
    name: getattr(lookahead, name)
    for name in ("dps", "tfg", "sitcom", "ddrm", "flowdps", "lgd", "steer", "mmps", "pigdm", "ddnm", "diffpir", "daps", "repaint")
}  # fmt: skip
ITERATED = ("mmps", "pigdm", "ddnm", "diffpir", "daps", "repaint")


class WeatherTask(Task):
    """Shared by all: how answers are scored and drawn. scored: which frames count; `told`: whether the network is given the past."""

    told = True

    def __init__(self, domain, data):
        self.domain, self.data, self.guidance = domain, data, data.guidance
        self.scored = slice(domain.past, None)

    def condition(self, example):
        """What the network is told of a window whose missing pixels are NaN: one for all members."""
        return jax.tree.map(lambda leaf: leaf[None], self.domain.condition(example)) if self.told else None

    def guide(self, denoiser, problem):
        return denoiser

    def metrics(self, samples, problem):
        forecast = self.as_forecast(samples)
        truth = self.as_forecast(problem.truth[None]).isel(member=0, drop=True)
        return task_scores(forecast, truth)

    def as_forecast(self, samples) -> xr.DataArray:
        """(member, time, y, x) dBZ of the frames that are scored; NaN stays."""
        native = self.domain.to_native(np.asarray(samples))["reflectivity"].rename(sample="member")
        return native.isel(time=self.scored)

    def plot(self, samples, problem):
        answers = {
            name: self.domain.to_native(x[None] if x.ndim == 3 else x) for name, x in self.baseline(problem).items()
        }
        truth, members = self.domain.to_native(problem.truth[None]), self.domain.to_native(samples)
        return plots.comparison(truth, members, answers, self.scored)

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
    scores |= {f"at {lead} min": by_lead.sel(time=lead) for lead in (5, 15, 30, 60, 120, 180) if lead in by_lead.time}
    scores |= {
        "spread/skill": verify.spread_skill(forecast, truth, by=()),
        "CSI 25 dBZ": verify.categorical(forecast, truth, 25.0, by=()).CSI,
        "FSS 25 dBZ": verify.fss(forecast, truth, 25.0),
        "spectrum dB": verify.spectrum_error_dB(forecast.isel(square), truth.isel(square))["mean"],
    }
    return {name: float(value) for name, value in scores.items()}


class Nowcast(WeatherTask):
    """The future frames from the past ones, which the network was trained on: nothing is guided."""

    def __init__(self, domain, data):
        super().__init__(domain, data)
        self.sampling = {}

    def problem(self, key, example):
        seen = self.condition(example)
        return Problem(seen["concat"][0], example, cond=seen, extras={"seed": seed_of(key)})

    def baseline(self, problem):
        """persistence; with pysteps optical-flow extrapolation and a STEPS ensemble of 20."""
        answers = self.classical(problem.truth, self.domain.future, problem.extras["seed"])
        return {name: with_past(problem.truth, answer, self.domain) for name, answer in answers.items()}


class Observed(WeatherTask):
    """Shared by the tasks that guide: `config.data.guidance` says how."""

    def __init__(self, domain, data):
        super().__init__(domain, data)
        if self.guidance.method not in GUIDES:
            raise UserError(f"config.data.guidance.method = {self.guidance.method!r}: expected one of {sorted(GUIDES)}")
        if not self.guidance.noise_dbz > 0:
            raise UserError(
                f"config.data.guidance.noise_dbz = {self.guidance.noise_dbz}: expected a positive number of dBZ"
            )
        self.noise_std = float(self.guidance.noise_dbz / domain.normalizer.std)
        # an empty word leaves it to the method
        self.sampling = {key: self.guidance[key] or None for key in ("solver", "steps", "grid")}

    def guide(self, denoiser, problem):
        method = self.guidance.method
        options = {"iterations": self.guidance.iterations} if method in ITERATED else {}
        return GUIDES[method](denoiser, problem.observation, **options)

    def masked(self, example, seen) -> lookahead.Observation:
        """Those pixels of a window that `seen` (like it) has and that are not missing."""
        seen = seen & ~np.isnan(example)
        normal = self.domain.normalizer.normalize(np.where(seen, example, self.domain.normalizer.mean))
        mask = jnp.asarray(seen, jnp.float32)
        return lookahead.Observation(lookahead.operators.Mask(mask), jnp.asarray(normal) * mask, self.noise_std)


class Assimilate(Observed):
    """A forecast that rain gauges at a few per cent of the pixels enter as they report, `guidance.gauge_frames` frames long.

    Gauges err by `guidance.gauge_dbz`; where they report is drawn with the problem's key.
    """

    def __init__(self, domain, data):
        super().__init__(domain, data)
        for key, most in (("gauges", 1.0), ("gauge_dbz", np.inf), ("gauge_frames", np.inf)):
            if not 0 < self.guidance[key] <= most:
                raise UserError(
                    f"config.data.guidance.{key} = {self.guidance[key]}: expected above 0, at most {most:g}"
                )

    def problem(self, key, example):
        domain, guidance = self.domain, self.guidance
        key_place, key_error = jax.random.split(key)
        pixels = domain.size**2
        count, frames = max(round(guidance.gauges * pixels), 3), min(guidance.gauge_frames, domain.future)
        places = np.asarray(jax.random.choice(key_place, pixels, (count,), replace=False))
        indices = (places[:, None] * domain.length + domain.past + np.arange(frames)).ravel()
        values = np.asarray(example, np.float64).reshape(-1)[indices]
        there = ~np.isnan(values)
        reported = np.where(there, values, 0.0) + guidance.gauge_dbz * np.asarray(
            jax.random.normal(key_error, values.shape)
        )
        # A gauge over a missing pixel of the truth reports nothing: an error bar that is as good as infinite.
        std = np.where(there, guidance.gauge_dbz, 1e4) / domain.normalizer.std
        normal = domain.normalizer.normalize(reported.astype(np.float32))
        observation = lookahead.Observation(
            lookahead.operators.Points(jnp.asarray(indices)), normal, std.astype(np.float32)
        )
        extras = {
            "places": places,
            "reported": np.where(there, reported, np.nan).reshape(count, frames),
            "seed": seed_of(key),
        }
        return Problem(observation, example, cond=self.condition(example), extras=extras)

    def baseline(self, problem):
        """Kriging of the gauges frame by frame; with pysteps around extrapolation, and of each STEPS member.

        Once the gauges are silent the last analysis goes on: kept, or carried along the flow. Frames of fewer than 3 reports have none.
        """
        domain, extras = self.domain, problem.extras
        shape, points = (domain.size, domain.size), np.stack(np.divmod(extras["places"], domain.size), -1)
        past, reports = past_of(problem.truth, domain), np.clip(extras["reported"].T, 0.0, None)
        errors = np.full(len(points), self.guidance.gauge_dbz)
        answers = {"kriging": baselines.persistence(past, domain.future)}
        analysed = [i for i, report in enumerate(reports) if np.isfinite(report).sum() >= 3]
        if has_pysteps():
            flow = baselines.motion(past)
            answers["kriging on extrapolation"] = baselines.extrapolation(past, domain.future, flow)
            answers["kriged STEPS-20"] = self.steps(past, domain.future, flow, extras["seed"])
        for i in analysed:
            answers["kriging"][i:] = baselines.kriging(points, reports[i], errors, shape)[0]
            if has_pysteps():
                carried, steps = answers["kriging on extrapolation"], answers["kriged STEPS-20"]
                carried[i] = baselines.kriging(points, reports[i], errors, shape, carried[i])[0]
                before = steps[:, i].mean(0)
                steps[:, i] = baselines.kriged_members(points, reports[i], errors, steps[:, i], seed=i)
        if has_pysteps() and analysed and (left := domain.future - analysed[-1] - 1):
            last = analysed[-1]
            carried[last + 1 :] = baselines.extrapolation(carried[last][None], left, flow)
            # what the gauges changed of the mean travels on, in every member
            change = baselines.extrapolation((steps[:, last].mean(0) - before)[None], left, flow)
            steps[:, last + 1 :] = np.clip(steps[:, last + 1 :] + change, 0.0, None)
        return {name: with_past(problem.truth, answer, domain) for name, answer in answers.items()}


class Downscale(Observed):
    """All frames from block means `guidance.factor` times coarser, with nothing else known. Blocks with missing pixels are not seen."""

    told = False

    def __init__(self, domain, data):
        super().__init__(domain, data)
        self.scored, factor = slice(None), self.guidance.factor
        if factor < 2 or domain.size % factor:
            raise UserError(
                f"config.data.guidance.factor = {factor}: expected 2 or more, a divisor of config.data.size = {domain.size}"
            )

    def problem(self, key, example):
        operator = lookahead.operators.Downsample(self.guidance.factor)
        missing = np.isnan(example)
        coarse = operator(jnp.asarray(self.domain.normalizer.normalize(np.where(missing, 0.0, example)))[None])[0]
        whole = np.asarray(operator(jnp.asarray(missing, jnp.float32)[None]))[0] == 0
        std = np.where(whole, self.noise_std, 1e4).astype(np.float32)
        return Problem(lookahead.Observation(operator, coarse, std), example, extras={"seed": seed_of(key)})

    def baseline(self, problem):
        """Cubic splines through the block means of dBZ; with pysteps RainFARM, an ensemble of 8."""
        factor = self.guidance.factor
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


class Fill(Observed):
    """What a radar did not see: a sector of every frame, or all of a few frames, from what is around it in space and time.

    The network is told of the past with its holes, and steered by the rest.
    """

    def __init__(self, domain, data):
        super().__init__(domain, data)
        self.scored = slice(None)

    def problem(self, key, example):
        hidden = outage(np.random.default_rng(seed_of(key)), example.shape)
        told = self.condition(np.where(hidden, np.nan, example))
        return Problem(self.masked(example, ~hidden), example, cond=told, extras={"hidden": hidden})

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


class Interpolate(Observed):
    """Frames between frames: every `guidance.every`-th is seen."""

    told = False

    def __init__(self, domain, data):
        super().__init__(domain, data)
        every = self.guidance.every
        if not 2 <= every < domain.length:
            raise UserError(
                f"config.data.guidance.every = {every}: expected 2 or more, and less than the {domain.length} frames of a window"
            )
        self.seen = np.arange(0, domain.length, every)
        self.scored = np.setdiff1d(np.arange(self.seen[-1]), self.seen)

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


def seed_of(key) -> int:
    """A seed for numpy and pysteps from a jax key."""
    return int(jax.random.randint(key, (), 0, 2**31 - 1))


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
