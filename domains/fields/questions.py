"""What tasks of fields share where a user brings what is known: what they take, the problem, an example of it, answers in its times."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from domains.fields import times
from domains.fields.brought import NAMES, Parts, on_the_grid, put_together, shown
from domains.fields.naming import units_of
from domains.fields.observations import Gridded, Points
from domains.fields.written import write_conditions, write_grid, write_points
from sciddm.errors import UserError
from sciddm.tasks import Problem


class Brings:
    """For a task of a domain of fields: `--given` as tables, files and datasets. Goes before `Task` among the bases.

    default_error: share of a variable's standard deviation, what stands for an error that is not given. What a task draws of an example
    it keeps in `extras["measured"]`, so that `write_given` can write it.
    """

    given_names = NAMES
    default_error = 0.05

    @property
    def takes(self) -> str:
        """In this model's own names, units and ranges."""
        return measured_in_words(self.domain) + conditions_in_words(self.domain)

    def problem_given(self, key, given) -> Problem:
        parts = self.parts(given)
        if not parts.points and not parts.grids:
            raise UserError(f"--given {', '.join(parts.sources)}: nothing measured is in it; expected {self.takes}")
        cond = self.domain.given(conditions=parts.conditions)
        return Problem(parts.observation(self.domain, self.default_error), None, cond, shown(self.domain, parts))

    def parts(self, given: Sequence, **options) -> Parts:
        """What was given. Raises: UserError where it is nothing, and as `put_together`."""
        if not given:
            raise UserError(f"--given is empty; expected {self.takes}")
        return put_together(self.domain, given, self.takes, self.default_error, **options)

    def write_given(self, problem, folder) -> list[str]:
        measured, found = (problem.extras or {}).get("measured"), []
        if isinstance(measured, Points):
            found.append(write_points(self.domain, measured, Path(folder) / "sensors.csv"))
        if isinstance(measured, Gridded):
            found.append(write_grid(self.domain, measured, Path(folder) / ("coarse.nc" if max(measured.factors) > 1 else "known.nc")))
        conditions = self.domain.conditions_in(_first(problem.cond))
        if conditions is not None:
            found.append(write_conditions(self.domain, conditions, Path(folder) / "conditions.nc"))
        return [str(one) for one in found]

    def to_native(self, samples, problem):
        native = super().to_native(samples, problem)
        return times.stamped(native, self.domain.layout, (problem.extras or {}).get("start"))

    def plot(self, samples, problem, others):
        """Truth, what was given, mean, members, classical answers and spread."""
        from domains.fields import plots

        extras = problem.extras or {}
        drawn = extras.get("measured") if problem.truth is not None else None
        given = on_the_grid([drawn], self.domain.layout) if isinstance(drawn, Gridded) else extras.get("given")
        samples = samples if "layout" in extras else self.domain.unmasked(samples)  # of a wider grid, which has no mask
        return plots.ensemble(
            extras.get("layout", self.domain.layout), samples, problem.truth, others, given=given,
            observed=extras.get("observed", {}), title=extras.get("title", ""),
        )  # fmt: skip


def span_in_words(domain, *, times: bool = True) -> str:
    """The dimensions with the range of their coordinates: "y (0.125 to 11.9 mm), x (0.125 to 19.9 mm)"; times: of windows, too."""
    layout, found = domain.layout, []
    if layout.frames and times:
        length = layout.step * (layout.frames - 1)
        found.append(f"{layout.time} (0 to {length:g} {layout.time_units} after the first frame, or dates)".replace("  ", " "))
    for dim in layout.space:
        values = layout.coordinate(dim)
        units = units_of(layout, dim).removeprefix("1")
        found.append(f"{dim} ({values.min():.4g} to {values.max():.4g}{f' {units}' if units else ''})")
    return ", ".join(found)


def names_in_words(domain, names) -> str:
    """Variables with their units: "u [mol m-3], v [mol m-3]"."""
    return ", ".join(f"{name} [{domain.layout.units(name)}]" for name in names)


def measured_in_words(domain) -> str:
    """What may be given of what was measured."""
    layout = domain.layout
    names = names_in_words(domain, layout.variables)
    grid = " x ".join(f"{dim} ({n})" for dim, n in zip(layout.space, layout.grid, strict=True))
    columns = ", ".join(["variable"] * (len(layout.variables) > 1) + [layout.time] * bool(layout.frames) + [*map(str, layout.space)])
    example = layout.variables[0]
    return (
        f"a table (.csv, .parquet, a DataFrame) with the columns {columns}, value, and error, one standard deviation; of {names}; at "
        f"places within {span_in_words(domain)}. Or a file that the reader knows, or an xarray.Dataset, with some of these variables on "
        f"the grid {grid}, NaN where nothing is known, or coarser, as means over blocks (sums by --given blocks=sum), and "
        f"{example}_error beside {example}. Other units of the same kind are converted; several things add up"
        + ("; --given start=TIME says when the window begins" if layout.frames else "")
    )


def conditions_in_words(domain) -> str:
    """The same of a model's conditions, "" where it has none."""
    names = domain.layout.conditions
    return f". The model is conditioned on {names_in_words(domain, names)}: give it in a file, on all of the grid" if names else ""


def frames_in_words(domain, past: int) -> str:
    """The same of frames that a forecast starts from."""
    layout = domain.layout
    step = f"{layout.step:g} {layout.time_units}".strip()
    names = names_in_words(domain, layout.variables)
    return (
        f"a file that the reader knows, or an xarray.Dataset, of the newest {past} frames along {layout.time!r}, {step} apart (of more the "
        f"last ones are taken), of {names} on the grid of {span_in_words(domain, times=False)}; NaN where nothing is known"
        + conditions_in_words(domain)
    )


def _first(cond):
    return None if cond is None else {name: np.asarray(leaf)[0] for name, leaf in cond.items()}
