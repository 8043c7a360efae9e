"""What a workdir says of its run, read without loading its network: metadata, metrics and scores."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sciddm.errors import UserError
from sciddm.export import Exported, open_source
from sciddm.train.verdict import Verdict, judge


@dataclass(frozen=True)
class Run:
    """meta: of the newest checkpoint; metrics: lines of metrics.jsonl up to that step; evaluation: evaluation.json, None: none yet."""

    path: Path
    meta: dict
    checkpoints: tuple[int, ...]
    metrics: tuple[dict, ...] = ()
    evaluation: dict | None = None

    @property
    def step(self) -> int:
        return self.meta["step"]

    @property
    def samples_seen(self) -> int:
        """Training samples, each counted as often as it was seen."""
        return self.step * self.meta["config"]["training"]["batch_size"]

    @property
    def minutes(self) -> float:
        """Of training."""
        return self.meta["elapsed"] / 60.0

    @property
    def looks(self) -> list[dict]:
        """Held-out losses, oldest first: {"step", "loss", "error", "levels", "each"}; [] for a run that is older than they are."""
        return self.meta.get("held_out") or []

    @property
    def tasks(self) -> list[str]:
        return sorted(self.meta["config"].get("tasks") or ())

    @cached_property
    def verdict(self) -> Verdict:
        return judge(self.meta)

    @cached_property
    def parameters(self) -> int:
        """Numbers in the network."""
        return sum(math.prod(shape) for name, (shape, _) in self.meta["shapes"].items() if name.startswith(".params["))

    def budget(self) -> str:
        """What the run was to take, such as "20,000 steps or 30 minutes"."""
        training = self.meta["config"]["training"]
        parts = [f"{training['steps']:,} steps"] if training.get("steps") else []
        return " or ".join(parts + ([f"{training['wall_minutes']:g} minutes"] if training.get("wall_minutes") else []))

    def scores(self) -> Iterator[tuple[str, str, float | None]]:
        """(task, metric, value) of the model's own answers in the evaluation."""
        for task, methods in (self.evaluation or {}).get("scores", {}).items():
            for metric, value in methods.get("posterior", {}).items():
                yield task, metric, value

    def to_json(self) -> dict:
        """For machines: what `sciddm info --json` prints."""
        return {
            "domain": self.meta["config"]["domain"], "step": self.step, "checkpoints": list(self.checkpoints),
            "parameters": self.parameters, "tasks": self.tasks, "normalizer": self.meta["normalizer"],
            "sigma_data": self.meta["sigma_data"],
            "minutes": round(self.minutes, 1), "samples": self.meta["samples"], "samples_seen": self.samples_seen, "held_out": self.looks,
            "verdict": {"undertrained": self.verdict.undertrained, "reasons": list(self.verdict.reasons)}, "evaluation": self.evaluation,
            "init_from": self.meta.get("init_from"), "git_revision": self.meta["git_revision"], "versions": self.meta["versions"],
            "config": self.meta["config"],
        }  # fmt: skip


def read(path) -> Run:
    """The run of a workdir, or of an export. Raises: UserError if there is none, or its files are not those of sciddm."""
    path = Path(path)
    source = open_source(path)
    meta = source.meta()
    if meta is None:
        raise UserError(f"{path}: holds no finished checkpoint yet; `sciddm train --config FILE --workdir {path}` writes one")
    if lacking := [key for key in ("config", "step", "elapsed", "samples", "shapes", "normalizer") if key not in meta]:
        raise UserError(f"{path}: its metadata lack {lacking[0]!r}; expected a run of sciddm")
    if isinstance(source, Exported):
        source.check()
    steps = tuple(source.steps())
    return Run(path, meta, steps, tuple(_metrics(path / "metrics.jsonl", meta["step"])), _evaluation(path / "evaluation.json"))


def finished(run: Run, config=None) -> bool:
    """Whether the budget that it was started with is spent, or that of `config`, which may be a smaller one."""
    if config is not None and _spent(run, config["training"]):
        return True
    return run.meta["progress"] >= 1.0 if "progress" in run.meta else _spent(run, run.meta["config"]["training"])


def _spent(run: Run, training) -> bool:
    minutes = training.get("wall_minutes")
    return bool(training.get("steps") and run.step >= training["steps"]) or bool(minutes and run.minutes >= minutes)


def _metrics(path: Path, step: int) -> Iterator[dict]:
    if not path.is_file():
        return
    for line in path.read_text(errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # a line that a kill cut short
            continue
        if isinstance(row, dict) and _whole(row.get("step")) and row["step"] <= step:
            yield {name: value for name, value in row.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}


def _whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _evaluation(path: Path) -> dict | None:
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text())
        found["scores"].items(), found["step"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: can't be read ({type(error).__name__}); delete it, `sciddm evaluate` writes it anew") from error
    return found
