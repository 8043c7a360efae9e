"""Rain gauges enter a forecast as they report."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from domains.weather import baselines, gauges
from domains.weather.brought import NAMES
from domains.weather.gauge_tables import Reports, read_reports, where_gauges_stand
from domains.weather.given_tasks import TakesPast
from domains.weather.mean_rates import MeanRate
from domains.weather.tasks import WeatherTask, has_pysteps, past_of, with_past
from domains.weather.transform import NO_ECHO
from domains.weather.written import NOW, grid
from sciddm import lookahead
from sciddm.errors import UserError
from sciddm.keys import seed_of
from sciddm.lookahead.observe.joint import join
from sciddm.tasks import Problem, Steered, need


class Assimilate(TakesPast, WeatherTask, Steered):
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
            need(options, name, 0 < options[name] < np.inf, "a number above 0")

    given_names = (*NAMES, "stations")
    gauges_too = True

    @property
    def takes(self):
        return (
            f"{super().takes}; beside them rain gauges of the {self.domain.future * self.domain.interval:g} min after it as a table (CSV, "
            "parquet, DataFrame): time, lon and lat or x and y or station, value [mm/h, mm or dBZ], and if you like error and interval; "
            "stations=TABLE: station, lon, lat"
        )

    def problem_given(self, key, given):
        domain = self.domain
        cond, brought, tables, options = self.past_given(given)
        if not tables:
            raise UserError(f"--given: frames and no gauges, for which --task nowcast is; expected {self.takes}")
        now, horizon = brought.times[brought.now], domain.future * domain.interval
        things = [table.value for table in tables]
        found = read_reports(
            things, options.get("stations"), brought.header, now, horizon, domain.interval, self.gauge_dbz, domain.past * domain.interval
        )
        frames = domain.past - 1 + np.clip(np.rint(found.minutes / domain.interval), 1, domain.future).astype(int)
        there = np.isfinite(found.dbz)
        brought = replace(brought, reports=(*found.pixels[there].T, frames[there], found.dbz[there]))
        return self.brought(key, brought, self.observed(found, frames), cond)

    def stand(self, tables, options, header):
        return where_gauges_stand([table.value for table in tables], options.get("stations"), header) if tables else None

    def observed(self, found: Reports, frames) -> lookahead.Observation:
        """The reports as an observation of normalised x: of a frame, or dBZ of the mean rate of the frames that a report sums up."""
        domain, (rows, columns) = self.domain, found.pixels.T
        at = (rows * domain.size + columns) * domain.length
        there, normal = np.isfinite(found.dbz), domain.normalizer.normalize
        value = normal(np.where(found.dbz == 0, NO_ECHO, np.nan_to_num(found.dbz)).astype(np.float32))
        std = (np.where(there, found.std, 1e4) / domain.normalizer.std).astype(np.float32)
        low = np.where(np.isnan(found.dry), -np.inf, normal(np.nan_to_num(found.dry))).astype(np.float32)
        value = np.maximum(value, low)  # no rain is what the gauge can't tell from none, and anything below explains it
        spans = np.maximum(np.rint(found.spans / domain.interval).astype(int), 1)
        several = spans > 1

        def law(rows):
            return lookahead.Clipped(std[rows], low[rows]) if np.isfinite(low[rows]).any() else std[rows]

        parts = []
        if (one := np.flatnonzero(~several)).size:
            points = lookahead.operators.Points(jnp.asarray((at + frames)[one]))
            parts.append(lookahead.Observation(points, value[one], law(one)))
        if (many := np.flatnonzero(several)).size:
            back = np.arange(spans.max())
            frame = frames[many, None] - back
            groups = np.where((back < spans[many, None]) & (frame >= 0), at[many, None] + frame, -1)
            operator = MeanRate(jnp.asarray(groups), float(domain.normalizer.mean), float(domain.normalizer.std))
            parts.append(lookahead.Observation(operator, value[many], law(many)))
        return join(parts)

    def write_given(self, problem, folder):
        domain, path, observation = self.domain, Path(folder) / "gauges.csv", problem.observation
        rows, frames = np.divmod(np.asarray(observation.operator.indices), domain.length)
        y, x = np.divmod(rows, domain.size)
        axes = grid((domain.size, domain.size), domain.spacing)
        minutes = np.round(60 * (frames - domain.past + 1) * domain.interval).astype("timedelta64[s]")
        table = pd.DataFrame({
            "time": NOW + minutes, "x": axes["x"][1][x], "y": axes["y"][1][::-1][y],
            "value [dBZ]": np.asarray(domain.normalizer.denormalize(np.asarray(observation.value)), np.float64),
            "error [dBZ]": np.asarray(observation.noise.std, np.float64) * float(domain.normalizer.std),
        })  # fmt: skip
        table.to_csv(path, index=False)
        return [*super().write_given(problem, folder), str(path)]

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

    def marks(self, problem):
        rows, columns = np.divmod(problem.extras["places"], self.domain.size)
        reported = problem.extras["reported"]
        frames = self.domain.past + np.arange(reported.shape[1])
        each = np.broadcast_arrays(rows[:, None], columns[:, None], frames, np.clip(reported, 0.0, None))
        return {"gauges": tuple(one.ravel() for one in each)}

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
