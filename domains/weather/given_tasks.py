"""What the tasks make of the frames that a user brings: of the newest ones a forecast, of gaps and of coarse ones a problem to solve."""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from domains.weather import output
from domains.weather.brought import NAMES, Frames, read_frames, sort_out
from domains.weather.mean_rates import MeanRate
from domains.weather.transform import NO_ECHO, decode, encode
from domains.weather.window import Brought, check_pixels, frames_in_words, in_space, in_time
from domains.weather.written import write_frames
from sciddm import lookahead
from sciddm.errors import UserError
from sciddm.given import say
from sciddm.keys import seed_of
from sciddm.tasks import Problem, Task
from sciddm.tasks.block_means import UNSEEN

COARSER = "--task downscale takes coarser ones, others are to be put on the model's grid first"


class TakesFrames(Task):
    """Shared by all: frames are read, put beside the model's interval and pixels, and answers lie where they did."""

    given_names = NAMES
    gauges_too = False  # whether tables of gauges may be beside the frames

    def frames_of(self, given, count: int) -> tuple[Frames, list, dict]:
        """(the newest `count` frames, tables, options by name)."""
        frames, tables, options = sort_out(given, self.takes, self.given_names)
        if tables and not self.gauges_too:
            raise UserError(f"--given {tables[0]}: a table; --task assimilate takes gauges, here expected {self.takes}")
        return read_frames(frames, count, options, self.domain.data), tables, options

    def brought(self, key, brought: Brought, observation=None, cond=None, truth=None) -> Problem:
        """The problem of what was brought."""
        extras = {"brought": brought, "title": brought.title, "seed": seed_of(key)}
        return Problem(observation, truth, cond=cond, extras=extras)

    def to_native(self, samples, problem):
        brought = (problem.extras or {}).get("brought")
        if brought is None:
            return super().to_native(samples, problem)
        dbz = np.moveaxis(decode(np.asarray(samples)), -1, 1)
        return output.as_cf(dbz, brought.like(dbz.shape[1]) if dbz.shape[1] > len(brought.times) else brought, self.domain.interval)

    def plot_brought(self, samples, problem):
        """What was given, mean, spread and members."""
        from domains.weather import given_plots

        return given_plots.answer(np.moveaxis(decode(np.asarray(samples)), -1, 1), problem.extras["brought"], self.domain.interval)


class TakesPast(TakesFrames):
    """Forecasts: the newest `past` frames are the condition. whole: whether all of the grid is taken, not a window of the model's size."""

    whole = False

    @property
    def takes(self):
        more = "; at=LON,LAT for another window than that with the most rain" if not self.whole else ", all of them"
        return f"{frames_in_words(self.domain)}{more}, now=TIME for an earlier newest frame"

    @property
    def answered(self) -> int:
        """Frames of an answer."""
        return self.domain.length

    def past_given(self, given):
        """(cond of all members, `Brought`, tables, options): the past as a user brought it."""
        domain = self.domain
        frames, tables, options = self.frames_of(given, 4 * domain.past)
        check_pixels(frames, domain.spacing, COARSER)
        values, times, now = in_time(frames, domain.past, domain.interval, least=min(2, domain.past))
        frames = replace(frames, values=values, times=times)
        if np.isnan(values[now]).all():
            raise UserError(f"{frames.source}: the newest frame, {times[now]}, is missing all over; leave it out, or give now=TIME")
        if self.whole:
            if "at" in options:
                raise UserError(f"--given at={options['at']}: all of the grid is forecast here; leave it out")
            frames = in_space(frames, domain.size, None) if min(frames.header.shape) < domain.size else frames
        else:
            frames = in_space(frames, domain.size, options.get("at"), gauges=self.stand(tables, options, frames.header))
        if 0 < (lost := float(np.isnan(frames.values).mean())):
            say(f"{frames.source}: {lost:.1%} of the past is missing; the model is told so")
        brought = Brought(frames.values, times, frames.header, now, domain.past, exact=True).like(self.answered)
        return self.condition(self.as_example(frames.values)), brought, tables, options

    def stand(self, tables, options, header):
        """Rows and columns of gauges, of a task that takes them."""
        return None

    def as_example(self, values):
        """The past as the first frames of an example, (Y, X, frames)."""
        return encode(np.moveaxis(values, 0, -1))

    def problem_given(self, key, given):
        cond, brought, _, _ = self.past_given(given)
        return self.brought(key, brought, self.event_given(), cond, self.unknown(brought))

    def event_given(self):
        """The observation or potential that goes with any past."""
        return None

    def unknown(self, brought):
        """An answer of which nothing but the past is known, of tasks whose answers are not of the model's size."""
        if (self.answered, *brought.header.shape) == (self.domain.length, self.domain.size, self.domain.size):
            return None
        return self.as_example(brought.known)

    def write_given(self, problem, folder):
        past = decode(problem.truth[..., : self.domain.past])
        return [str(write_frames(np.moveaxis(past, -1, 0), self.domain, Path(folder) / "frames.nc"))]


class TakesGaps(TakesFrames):
    """Frames with gaps in them; `length` of them at most, and what comes after the last is not asked for."""

    @property
    def takes(self):
        domain = self.domain
        return (
            f"up to {domain.length} frames of radar, {domain.interval:g} min apart, with gaps: missing pixels (NaN, _FillValue) or "
            f"frames that are absent; at least {domain.size} x {domain.size} pixels of {domain.spacing:.3g} km, at=LON,LAT for a window"
        )

    def problem_given(self, key, given):
        domain = self.domain
        frames, _, options = self.frames_of(given, domain.length)
        check_pixels(frames, domain.spacing, COARSER)
        values, times, now = in_time(frames, domain.length, domain.interval, newest=False)
        gaps = np.isnan(values[: now + 1]).any()
        frames = in_space(replace(frames, values=values[: now + 1]), domain.size, options.get("at"), wide="")
        seen = np.full((domain.length, domain.size, domain.size), np.nan, np.float32)
        seen[: now + 1] = frames.values
        hidden = np.isnan(seen[: now + 1])
        if not hidden.any():
            way_out = "the gaps are elsewhere: choose their window by --given at=LON,LAT" if gaps else "expected gaps, NaN or _FillValue"
            raise UserError(f"{frames.source}: nothing is missing in its {now + 1} frames{' here' if gaps else ''}; {way_out}")
        if hidden.all():
            raise UserError(f"{frames.source}: everything is missing in this window; choose another by --given at=LON,LAT")
        say(f"{frames.source}: {hidden.mean():.1%} of {now + 1} frames to be filled")
        x = encode(np.moveaxis(seen, 0, -1))
        brought = Brought(seen, times, frames.header, now, now + 1, exact=True)
        return self.brought(key, brought, self.masked(x, ~np.isnan(x)), self.condition(x))

    def write_given(self, problem, folder):
        x = np.where(problem.extras["hidden"], np.nan, problem.truth)
        return [str(write_frames(np.moveaxis(decode(x), -1, 0), self.domain, Path(folder) / "gaps.nc"))]


class TakesFewer(TakesFrames):
    """Frames further apart than the model's; how far says the file."""

    @property
    def takes(self):
        domain = self.domain
        return (
            f"frames of radar a whole number of {domain.interval:g} min apart, 2 or more, such as every {2 * domain.interval:g} min, over "
            f"{(domain.length - 1) * domain.interval:g} min at most; at least {domain.size} x {domain.size} pixels of {domain.spacing:.3g} "
            "km, at=LON,LAT for a window"
        )

    def problem_given(self, key, given):
        domain = self.domain
        frames, _, options = self.frames_of(given, domain.length)
        check_pixels(frames, domain.spacing, COARSER)
        every = max(round((frames.step or 0) / domain.interval), 1)
        most = (domain.length - 1) // every + 1
        if every < 2 or most < 2 or abs((frames.step or 0) / domain.interval / every - 1) > 0.1:
            step = "1 frame" if frames.step is None else f"frames {frames.step:.3g} min apart"
            expected = f"2 to {domain.length - 1} times {domain.interval:g} min, the model's interval, between frames"
            raise UserError(f"{frames.source}: {step}; expected {expected}")
        last = (most - 1) * every + 1
        values, times, now = in_time(frames, last, domain.interval, every=every, newest=False)
        frames = in_space(replace(frames, values=values[: now + 1]), domain.size, options.get("at"), wide="")
        if np.isnan(frames.values).all():
            raise UserError(f"{frames.source}: everything is missing in this window; choose another by --given at=LON,LAT")
        seen = np.full((domain.length, domain.size, domain.size), np.nan, np.float32)
        seen[: now + 1] = frames.values
        x = encode(np.moveaxis(seen, 0, -1))
        brought = replace(Brought(seen[:last], times, frames.header, now, now + 1, exact=True).like(domain.length), kept=now + 1)
        return self.brought(key, brought, self.masked(x, ~np.isnan(x)))

    def write_given(self, problem, folder):
        frames = np.moveaxis(decode(problem.truth[..., self.seen]), -1, 0)
        return [str(write_frames(frames, self.domain, Path(folder) / "apart.nc", step=int(self.seen[1] - self.seen[0])))]


class TakesCoarse(TakesFrames):
    """Frames of coarser pixels: each the mean of dBZ over a block of the model's, or of mm/h where the file has rates."""

    @property
    def takes(self):
        domain = self.domain
        return (
            f"up to {domain.length} frames {domain.interval:g} min apart, of pixels some whole times {domain.spacing:.3g} km wide, such as "
            f"{self.factor * domain.spacing:.3g} km, and cover at least {domain.size * domain.spacing:.4g} km: means of dBZ over each, or "
            "rain rates, which are means of mm/h; at=LON,LAT for a window"
        )

    def problem_given(self, key, given):
        domain = self.domain
        frames, _, options = self.frames_of(given, domain.length)
        if frames.mixed:
            what = "some frames are in dBZ and some are rain rates, whose means over a pixel differ"
            raise UserError(f"{frames.source}: {what}; expected one of both")
        factor = max(round(frames.header.spacing / domain.spacing), 1)
        if factor < 2 or domain.size % factor:
            ways = [n for n in range(2, domain.size) if domain.size % n == 0]
            expected = f"{domain.spacing:.3g} km, the model's, times one of {ways}"
            raise UserError(f"{frames.source}: pixels of {frames.header.spacing:.3g} km; expected {expected}")
        check_pixels(frames, factor * domain.spacing, f"expected a whole number of {domain.spacing:.3g} km")
        values, times, now = in_time(frames, domain.length, domain.interval, newest=False, least=1)
        side = domain.size // factor
        frames = in_space(replace(frames, values=values[: now + 1]), side, options.get("at"), wide="")
        coarse = np.full((domain.length, side, side), np.nan, np.float32)
        coarse[: now + 1] = frames.values
        if np.isnan(coarse).all():
            raise UserError(f"{frames.source}: everything is missing in this window; choose another by --given at=LON,LAT")
        known = np.kron(np.maximum(coarse, 0), np.ones((1, factor, factor), np.float32))
        brought = Brought(known, times, frames.header.finer(factor), now, now + 1, coarse=factor)
        observation = self.of_rates(coarse, factor) if frames.unit != "dbz" else self.of_means(coarse, factor)
        return self.brought(key, brought, observation)

    def of_means(self, coarse, factor):
        """Block means of x, (frames, y, x) with NaN where not seen; dry ones are `NO_ECHO` all over."""
        value = np.moveaxis(np.where(coarse == 0, NO_ECHO, coarse), 0, -1)
        normal = self.domain.normalizer.normalize(np.nan_to_num(value)).astype(np.float32)
        std = self.noise_std if np.isfinite(value).all() else np.where(np.isfinite(value), self.noise_std, UNSEEN).astype(np.float32)
        return lookahead.Observation(lookahead.operators.Downsample(factor), jnp.asarray(normal), std)

    def of_rates(self, coarse, factor):
        """dBZ of the mean rate of each block that is seen; a dry one says that it is below what `MeanRate` resolves."""
        frames, rows, columns = np.nonzero(np.isfinite(coarse))
        inside = np.arange(factor)
        y, x = rows[:, None, None] * factor + inside[:, None], columns[:, None, None] * factor + inside
        groups = (y * self.domain.size + x) * self.domain.length + frames[:, None, None]
        normalizer = self.domain.normalizer
        operator = MeanRate(jnp.asarray(groups.reshape(len(frames), -1)), float(normalizer.mean), float(normalizer.std))
        value = normalizer.normalize(np.where(coarse == 0, NO_ECHO, coarse)[frames, rows, columns]).astype(np.float32)
        return lookahead.Observation(operator, jnp.asarray(value), self.noise_std)

    def write_given(self, problem, folder):
        value = np.asarray(self.domain.normalizer.denormalize(np.asarray(problem.observation.value)), np.float32)
        std = np.broadcast_to(np.asarray(problem.observation.noise.std), value.shape)
        coarse = np.moveaxis(np.where(std < UNSEEN, value, np.nan), -1, 0)
        factor = problem.observation.operator.factor
        return [str(write_frames(coarse, self.domain, Path(folder) / "coarse.nc", factor=factor, no_echo=NO_ECHO))]
