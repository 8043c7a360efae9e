"""What a run reports: metrics.jsonl always, TensorBoard beside it; process 0 only."""

import json
from pathlib import Path

import jax
from tensorboardX import SummaryWriter

from sciddm.data.made import replace_text


class Log:
    """One `write(step, values)`. On resume, lines past the restored step are dropped: the file reads as of an unbroken run."""

    def __init__(self, workdir: Path, step: int):
        self.path = workdir / "metrics.jsonl"
        self._main = jax.process_index() == 0
        if not self._main:
            return
        if self.path.exists():
            kept = [line for line in self.path.read_text(errors="replace").splitlines() if _step(line) <= step]
            replace_text(self.path, "".join(line + "\n" for line in kept))
        self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Append one line {"step": ..., **values}."""
        if not self._main:
            return
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def close(self) -> None:
        if self._main:
            self._board.close()


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # the line that a kill cut short
        return float("inf")
