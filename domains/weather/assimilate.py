"""Rain gauges enter a forecast as they report."""

import jax
import jax.numpy as jnp
import numpy as np

from domains.weather import baselines, gauges
from domains.weather.tasks import WeatherTask, has_pysteps, past_of, with_past
from sciddm import lookahead
from sciddm.keys import seed_of
from sciddm.tasks import Problem, Steered, need


class Assimilate(WeatherTask, Steered):
    """A forecast that rain gauges enter as they report; where they stand is drawn with the problem's key.

    gauges: share of the pixels with one; gauge_dbz: their error; gauge_frames: of the forecast that they report; others: of `Steered`.
    """

    def __init__(self, domain, *, gauges: float = 0.03, gauge_dbz: float = 2.0, gauge_frames: int = 6, **steered):
        super().__init__(domain, **steered)
        self.gauges, self.gauge_dbz, self.gauge_frames = gauges, gauge_dbz, gauge_frames

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        need(options, "gauges", 0 < options["gauges"] <= 1, "a share of the pixels, above 0 and at most 1")
        for name in ("gauge_dbz", "gauge_frames"):
            need(options, name, options[name] > 0, "a number above 0")

    def problem(self, key, example):
        domain = self.domain
        key_place, key_error = jax.random.split(key)
        pixels = domain.size**2
        count, frames = max(round(self.gauges * pixels), 3), min(self.gauge_frames, domain.future)
        places = np.asarray(jax.random.choice(key_place, pixels, (count,), replace=False))
        indices = (places[:, None] * domain.length + domain.past + np.arange(frames)).ravel()
        values = np.asarray(example, np.float64).reshape(-1)[indices]
        there = ~np.isnan(values)
        reported = np.where(there, values, 0.0) + self.gauge_dbz * np.asarray(
            jax.random.normal(key_error, values.shape)
        )
        # A gauge over a missing pixel of the truth reports nothing: an error bar that is as good as infinite.
        std = np.where(there, self.gauge_dbz, 1e4) / domain.normalizer.std
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
        errors = np.full(len(points), self.gauge_dbz)
        answers = {"kriging": baselines.persistence(past, domain.future)}
        analysed = [i for i, report in enumerate(reports) if np.isfinite(report).sum() >= 3]
        if has_pysteps():
            flow = baselines.motion(past)
            answers["kriging on extrapolation"] = baselines.extrapolation(past, domain.future, flow)
            answers["kriged STEPS-20"] = self.steps(past, domain.future, flow, extras["seed"])
        for i in analysed:
            answers["kriging"][i:] = gauges.kriging(points, reports[i], errors, shape)[0]
            if has_pysteps():
                carried, steps = answers["kriging on extrapolation"], answers["kriged STEPS-20"]
                carried[i] = gauges.kriging(points, reports[i], errors, shape, carried[i])[0]
                before = steps[:, i].mean(0)
                steps[:, i] = gauges.kriged_members(points, reports[i], errors, steps[:, i], seed=i)
        if has_pysteps() and analysed and (left := domain.future - analysed[-1] - 1):
            last = analysed[-1]
            carried[last + 1 :] = baselines.extrapolation(carried[last][None], left, flow)
            # what the gauges changed of the mean travels on, in every member
            change = baselines.extrapolation((steps[:, last].mean(0) - before)[None], left, flow)
            steps[:, last + 1 :] = np.clip(steps[:, last + 1 :] + change, 0.0, None)
        return {name: with_past(problem.truth, answer, domain) for name, answer in answers.items()}
