"""What one does with whole fields: forecast, go on window after window, go wider than the model, generate."""

import numpy as np

from domains.fields import answers, metrics
from domains.fields.brought import shown
from domains.fields.measured_grids import Opened
from domains.fields.naming import in_units, names_of, units_of
from domains.fields.questions import Brings, frames_in_words, measured_in_words
from domains.fields.written import write_frames
from sciddm.data.tables import is_table
from sciddm.errors import UserError
from sciddm.lookahead.by_name import guide
from sciddm.tasks import Generate, Problem, Rollout, Task, Wide, need
from sciddm.tasks.steered import METHOD, SAMPLING


class Forecast(Brings, Task):
    """Later frames from the first `past` ones, on which the model is conditioned. Options: of `Task`."""

    @classmethod
    def fits(cls, config):
        past = config.data.window // 2 if config.data.get("past") is None else config.data.past
        return config.data.window > 1 and past > 0

    def problem(self, key, example):
        return self.problem_of(key, {"x": example})

    def problem_of(self, key, element):
        x, conditions = self.domain.unmasked(element["x"]), self.domain.conditions_in(element.get("cond"))
        seen = x[: self.domain.past]
        return Problem(truth=x, cond=self.domain.given(seen=seen, conditions=conditions), extras={"frames": seen})

    @property
    def takes(self):
        return frames_in_words(self.domain, self.domain.past)

    def problem_given(self, key, given):
        parts = self.parts(given, past=self.domain.past)
        return Problem(cond=self.domain.given(seen=parts.seen, conditions=parts.conditions), extras=shown(self.domain, parts))

    def write_given(self, problem, folder):
        return [str(write_frames(self.domain, problem.extras["frames"], folder / "frames.nc")), *super().write_given(problem, folder)]

    def metrics(self, samples, problem):
        """Scores of the frames after those that are given."""
        later = slice(self.domain.past, None)
        return _scores(self.domain, samples[:, later], problem.truth[later])

    def baseline(self, problem):
        """`persistence`: the last frame again and again; `regression` on the frames that are given; a `training ensemble` of windows."""
        return answers.of_forecast(self.domain, problem.truth)

    def plot(self, samples, problem, others):
        return _sequence(self.domain, samples, problem, others)


class FieldRollout(Brings, Rollout):
    """Windows one after the other, each given the last frames of the one before; there are no conditions for later ones."""

    @classmethod
    def fits(cls, config):
        return Forecast.fits(config) and not config.data.get("condition")

    def problem_of(self, key, element):
        x = np.where(self.domain.masked, np.nan, element["x"]).astype(np.float32)
        return Problem(truth=self.padded(x), cond=self.condition(x), extras={"frames": x[: self.past]})

    @property
    def takes(self):
        return frames_in_words(self.domain, self.past)

    def problem_given(self, key, given):
        parts = self.parts(given, past=self.past)
        unknown = np.full((self.length, *parts.seen.shape[1:]), np.nan, np.float32)
        return Problem(truth=unknown, cond=self.condition(parts.seen), extras=shown(self.domain, parts))

    def write_given(self, problem, folder):
        return [str(write_frames(self.domain, problem.extras["frames"], folder / "frames.nc"))]

    def metrics(self, samples, problem):
        known = ~np.isnan(problem.truth).all(tuple(range(1, problem.truth.ndim)))
        known[: self.past] = False
        return _scores(self.domain, samples[:, known], problem.truth[known])

    def baseline(self, problem):
        return answers.of_forecast(self.domain, problem.truth)

    def plot(self, samples, problem, others):
        return _sequence(self.domain, samples, problem, others)


class WideFields(Brings, Wide):
    """Fields larger than the model's, by overlapping windows of its size.

    size: how many times the model's grid an answer is, along every dimension of space; others: of `Wide`.
    """

    @classmethod
    def fits(cls, config):
        return not config.data.get("condition")  # which would have to be as wide

    def __init__(self, domain, *, size: float = 1.5, **wide):
        super().__init__(domain, **wide)
        self.size = size

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        need(options, "size", options["size"] >= 1, "at least 1")

    def problem(self, key, example):
        domain, layout = self.domain, self.domain.layout
        if domain.fixed_channels:
            raise UserError(
                "task wide: the model is given static fields or a mask, which belong to its own grid; leave them out of the data"
            )
        shape = list(layout.shape)
        for axis in self.axes:
            shape[axis] = round(self.size * shape[axis])
        return Problem(truth=np.full(shape, np.nan, np.float32), cond=self.condition(None))

    def condition(self, example):
        return self.domain.given()  # of the model's own size, the same for all windows

    @property
    def takes(self):
        size = "its size is that of a file, else the option size says it"
        return f"nothing, or what is known of a field larger than the model's own, whose coordinates go on in even steps ({size}): " + (
            measured_in_words(self.domain)
        )

    def problem_given(self, key, given):
        blank = self.problem(key, None)
        if not given:
            return blank
        layout = self.domain.layout.wider([blank.truth.shape[axis] for axis in self.axes])
        for one in given:
            thing = one.path or one.value
            if not one.name and not is_table(thing) and not isinstance(thing, str):
                layout = self._layout_of(Opened(thing, self.domain.variables)) or layout
        parts = self.parts(given, layout=layout)
        truth = np.full(layout.shape, np.nan, np.float32)
        extras = shown(self.domain, parts, layout) | {"layout": layout}
        return Problem(parts.observation(self.domain, self.default_error, layout), truth, blank.cond, extras)

    def _layout_of(self, opened):
        # The model's on the grid of a file in steps of the model's own, at least as many as it has; None of a file on another grid.
        layout, header, sizes, places = self.domain.layout, opened.template, [], {}
        for dim, n in zip(layout.space, layout.grid, strict=True):
            found = next((name for name in header.dims if str(name).lower() in names_of(layout, dim)), None)
            if found is None:
                return None
            sizes.append(header.sizes[found])
            if found in header.coords and n > 1 and header[found].dtype.kind in "iuf":
                what, own = f"{opened.source}: {found}", units_of(layout, dim)
                at = np.asarray(in_units(header[found].values, header[found].attrs.get("units"), own, what), float)
                step = np.diff(layout.coordinate(dim)).mean()
                at = at if (at[-1] > at[0]) == (step > 0) else at[::-1]
                factor = max(round(np.diff(at).mean() / step), 1) if len(at) > 1 else 1  # points of a block
                if len(at) > 1 and np.abs(np.diff(at) / factor - step).max() > 0.02 * abs(step):
                    raise UserError(
                        f"{what} has steps of {abs(np.diff(at).mean()):.4g}; expected those of the model, {abs(step):.4g} {own}, or a "
                        "whole number of them"
                    )
                sizes[-1] *= factor
                places[dim] = at if factor == 1 else at[0] + step * (np.arange(sizes[-1]) - 0.5 * (factor - 1))
            if sizes[-1] < n:
                return None
        return layout.wider(sizes, places)

    def to_native(self, samples, problem):
        native, layout = super().to_native(samples, problem), (problem.extras or {}).get("layout")
        if layout is None:
            return native
        return native.assign_coords({dim: layout.header[dim].variable for dim in layout.space if dim in layout.header.coords})

    def metrics(self, samples, problem):
        """How the law of a window of the model's size in the middle differs from that of the data."""
        window = tuple(
            slice((n - w) // 2, (n - w) // 2 + w)
            for n, w in zip([samples.shape[1 + a] for a in self.axes], self.window, strict=True)
        )
        frames = (slice(None),) if self.domain.layout.frames else ()
        return self.domain.metrics(samples[(slice(None), *frames, *window)], self.domain.tasks["generate"].held_out(0))

    def plot(self, samples, problem, others):
        from domains.fields import plots

        if problem.observation is not None:
            blank = Problem(problem.observation, None, problem.cond, problem.extras)
            return super().plot(samples, blank, others)
        return plots.gallery(self.domain.layout_of(samples), samples)


class GenerateFields(Brings, Generate):
    """Fields out of nothing, scored against held-out ones; of what a user brings, steered by the method that answers it best."""

    method = METHOD

    @property
    def takes(self):
        return "nothing, or, to steer by it, " + super().takes

    def problem_given(self, key, given):
        if not given:
            return Problem()
        parts = self.parts(given)
        observation = parts.observation(self.domain, self.default_error)
        return Problem(observation, None, self.domain.given(conditions=parts.conditions), shown(self.domain, parts))

    def write_given(self, problem, folder):
        return []  # an example knows nothing

    def guide(self, denoiser, problem):
        return denoiser if problem.observation is None else guide(denoiser, problem.observation, self.method)

    def sampling_of(self, problem):
        return (SAMPLING if problem.observation is not None else {}) | self.sampling

    def plot(self, samples, problem, answers):
        if problem.observation is not None:
            return super().plot(samples, problem, answers)
        return Generate.plot(self, samples, problem, answers)


def _sequence(domain, samples, problem, others):
    from domains.fields import plots

    truth = None if problem.truth is None or np.isnan(problem.truth).all() else problem.truth
    title = (problem.extras or {}).get("title", "")
    return plots.sequence(domain.layout, domain.unmasked(samples), truth, others, given=domain.past, title=title)


def _scores(domain, samples, truth):
    return metrics.ensemble_scores(domain.layout, domain.unmasked(samples), truth, domain.scales)
