"""A task: a problem made of an example or of what was measured, members that answer it, scores beside classical answers, a picture."""

import abc
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciddm.denoiser import Denoiser
from sciddm.errors import UserError
from sciddm.given import Thing, refuse
from sciddm.named import Kind, check_options, defaults_of, find, near, options_of

GIVEN = ("self", "domain")  # arguments of a task that are no options


@dataclass(frozen=True)
class Problem:
    """One instance of a task: what is known, and the truth it was made from; None where a user brought what is known.

    observation: one of an `Observation`, a potential (x_0, t) -> (B,) in nats, a constraint, which is a projection of x_0, or None where
    cond alone says what is known; all of them of normalised x. truth: one x in physical units; cond: for all members, its leaves (1, ...);
    extras: whatever the task's own baseline, metrics and plots need.

    Raises: TypeError where the observation is none of these.
    """

    observation: Callable | None = None
    truth: Any = None
    cond: Any = None
    extras: Mapping[str, Any] | None = None

    def __post_init__(self):
        if self.observation is not None and not callable(self.observation):
            raise TypeError(
                f"observation is a {type(self.observation).__name__}: expected an Observation, a potential, a constraint or None; "
                "conditions go to cond, everything else to extras"
            )


class Task(abc.ABC):
    """A named use with a measurable success: "inverse", "nowcast", "scaffold", ...

    The keyword arguments of its constructor are its options, `config.tasks.<name>`; `solver`, `steps` and `grid` are those of `sd.sample`
    that serve it best, None: those of config.sampling. What the caller of `solve` says goes before them.

    given_names: of name=value that `--given` takes; by_member: whether an answer depends on its own key alone, so that some can be made
    now and the others later; observable: whether more can be observed beside, of answers that are one sample each; strength: the option
    that says how strongly it steers, "" where none does.
    """

    given_names: tuple[str, ...] = ()
    by_member: bool = True
    observable: bool = True
    strength: str = ""

    def __init__(self, domain, *, solver: str | None = None, steps: int | None = None, grid: str | None = None):
        self.domain = domain
        self.sampling = {
            name: value for name, value in (("solver", solver), ("steps", steps), ("grid", grid)) if value is not None
        }

    @classmethod
    def fits(cls, config) -> bool:
        """Whether a run with this config has the task."""
        return True

    @classmethod
    def check(cls, config, options: Mapping[str, Any]) -> None:
        """Raises: ValueError if the options, which are of the right names and types, have values that don't go with each other or with
        the config. Called before data are made, so that the task's constructor needs no checks."""
        return None

    @abc.abstractmethod
    def problem(self, key, example) -> Problem:
        """Draw what is known of `example`, one x in physical units."""

    def problem_of(self, key, element: Mapping[str, Any]) -> Problem:
        """The problem of an element {"x": ...} of the data: that of its x, for a task that reads nothing else of it, such as its "cond"."""
        return self.problem(key, element["x"])

    @property
    def takes(self) -> str:
        """What `--given` takes, in a sentence or two that have this model's own names, units and ranges in them."""
        return "nothing"

    def problem_given(self, key, given: Sequence[Thing]) -> Problem:
        """The problem of what a user brought: no truth, `extras["title"]` for the picture, such as a date.

        What a user brought is in the user's own units. What lies outside of the model's domain is refused, what lies far outside of what it
        was trained on is said on stderr. Raises: UserError in one line with the file, the row or record, and what would be right.
        """
        refuse(given[0], self.takes, self.given_names) if given else None
        raise UserError(f"--given is empty; expected {self.takes}")

    def write_given(self, problem: Problem, folder: Path) -> list[str]:
        """The problem of an example as a user would bring it: files in `folder`, named for what they hold. Returns: arguments of `--given`,
        of which `problem_given` makes the same problem again."""
        raise UserError(f"{type(self).__name__} has no example of what --given takes: {self.takes}")

    def to_native(self, samples, problem: Problem):
        """Answers (members, ...) in physical units as the field's own object, with the times and places of what was given."""
        return self.domain.to_native(samples, problem.cond)

    def guide(self, denoiser: Denoiser, problem: Problem) -> Denoiser:
        """The denoiser steered towards the problem's observation; itself where cond alone says what is known."""
        return denoiser

    def page(self, samples, problem: Problem, about: Mapping[str, Any]) -> str:
        """One HTML page on which answers (members, ...) in physical units are compared, for domains in which a picture says too little,
        such as sounds. about: what made them, name -> plain value."""
        raise UserError(f"{type(self).__name__} has no page")

    def depends(self, model) -> str:
        """What its samples depend on besides config and checkpoint, such as the digest of a file; when it changes they are made anew."""
        return ""

    def baseline(self, problem: Problem) -> Mapping[str, Any]:
        """Answers of the classical methods a practitioner would use, by name: one x in physical units, or an ensemble (members, ...)."""
        return {}

    def examples(self):
        """Held-out elements {"x": ...} of its own, a sequence, for a task whose x is of another size; None: those of the test split."""
        return None

    def solve(self, model, key, problem: Problem, members: int, **options):
        """(members, ...) answers in physical units: samples of the guided denoiser, for a task that has no way of its own.

        Args: model: `sciddm.model.Model`; options: of `sd.sample`, before those of the task, and whether to show `progress`.
        """
        guided = self.guided(model.denoiser, problem)
        return model.draw(key, members, denoiser=guided, cond=problem.cond, **self.sampling_of(problem) | options)

    def sampling_of(self, problem: Problem) -> dict[str, Any]:
        """Options of `sd.sample` that serve a problem best, before those of config.sampling."""
        return self.sampling

    def guided(self, denoiser: Denoiser, problem: Problem) -> Denoiser:
        """`guide`, which must give a denoiser. Raises: UserError where it gives something else."""
        found = self.guide(denoiser, problem)
        if not isinstance(found, Denoiser):
            raise UserError(
                f"the guide of {type(self).__name__} gives a {type(found).__name__}; expected a Denoiser: does it return one?"
            )
        return found

    def controls(self, model, key, problem: Problem, members: int) -> Mapping[str, Any]:
        """Answers (members, ...) of the same model without what this task adds, by name: what that is worth. Args as of `solve`."""
        return {}

    @abc.abstractmethod
    def metrics(self, samples, problem: Problem) -> dict[str, float]:
        """Scores of samples (members, ...) in physical units against the truth."""

    @abc.abstractmethod
    def plot(self, samples, problem: Problem, answers: Mapping[str, Any]):
        """A matplotlib figure that a person can judge; answers: those of `baseline`."""


def need(options: Mapping[str, Any], name: str, fine, expected: str) -> None:
    """For `Task.check`. Raises: ValueError that names the option and what was expected, unless `fine`."""
    if not fine:
        raise ValueError(f"{name} = {options[name]!r}: expected {expected}")


def draw_picture(task: Task, samples, problem: Problem, answers):
    """`task.plot`, for one version also of tasks whose plot takes no answers."""
    if len(inspect.signature(task.plot).parameters) == 2:
        warnings.warn(
            f"{type(task).__name__}.plot(samples, problem) now takes the classical answers: plot(samples, problem, answers)",
            DeprecationWarning, stacklevel=2,
        )  # fmt: skip
        return task.plot(samples, problem)
    return task.plot(samples, problem, answers)


def task_types(domain_type, config) -> dict[str, type[Task]]:
    """Name -> class of the tasks that a run with this config has: the domain's, and those whose `kind` config.tasks names.

    Raises: UserError on a task that nobody knows.
    """
    types = dict(domain_type.task_types)
    if not hasattr(config.tasks, "items"):
        raise UserError(f"config.tasks = {config.tasks!r}: expected a group of tasks by name")
    for name, options in config.tasks.items():
        if not name.replace("-", "_").isidentifier():
            raise UserError(f"config.tasks: {name!r} is no name of a task; expected letters, digits, - and _")
        if not hasattr(options, "items"):
            raise UserError(f"config.tasks.{name} = {options!r}: expected options, such as {{'kind': 'package.module:Name'}}")
        kind = options.get("kind")
        if kind is not None and not isinstance(kind, str):
            raise UserError(f"config.tasks.{name}.kind = {kind!r}: expected a name, or package.module:Name")
        if kind:
            try:
                types[name] = find(kind, Kind("task", domain_type.task_types, _is_task, "a class of sciddm.Task"))
            except ValueError as error:
                raise UserError(f"config.tasks.{name}.kind: {error}") from error
    return {name: kind for name, kind in types.items() if isinstance(kind, Task) or kind.fits(config)}


def task_options(kind: type[Task]) -> dict[str, Any]:
    """Names and defaults of a task's options."""
    return defaults_of(kind, GIVEN)


def check_tasks(domain_type, config) -> None:
    """Names, types and values of all of config.tasks.

    Raises: UserError that names the key.
    """
    types = task_types(domain_type, config)
    for name, options in config.tasks.items():
        where = f"config.tasks.{name}"
        if name not in types:
            if name in domain_type.task_types:
                continue  # of another config of the domain
            raise UserError(
                f"{where}: is no task; expected one of {sorted(types)}{near(name, types)}, or kind = 'package.module:Name' in it"
            )
        plain = {key: value for key, value in options.items() if key != "kind"}
        try:
            check_options(types[name], plain, GIVEN, "")
            if missing := set(options_of(types[name], GIVEN)) - set(task_options(types[name])) - set(plain):
                raise ValueError(f"{sorted(missing)[0]} is missing; the task has no default for it")
            types[name].check(config, task_options(types[name]) | plain)
        except ValueError as error:
            raise UserError(f"{where}.{error}") from error


def make_tasks(domain, config) -> dict[str, Task]:
    """The tasks of a domain with the options of config.tasks. A domain of version 0.1 made its own, which stay."""
    made = {}
    for name, kind in task_types(type(domain), config).items():
        options = {key: value for key, value in config.tasks.get(name, {}).items() if key != "kind"}
        try:
            made[name] = kind if isinstance(kind, Task) else kind(domain, **options)
        except ValueError as error:  # of a value that only the data can tell, such as the name of a variable
            raise UserError(f"config.tasks.{name}.{error}") from error
    return made


def _is_task(found) -> bool:
    return isinstance(found, type) and issubclass(found, Task)
