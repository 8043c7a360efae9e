"""A finished run of each domain at its smallest, made once and read by all cases; what changes one copies it before.

python scripts/reliability/runs.py FOLDER        # two training steps each, some two minutes on 2 cores
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = ("toy", "pde", "fields", "weather", "molecules", "audio")
PLACE = "SCIDDM_RELIABILITY_RUNS"  # of the environment: the folder that they are in


def trained(name: str) -> Path:
    """The run of a domain, which is not to be changed."""
    return Path(os.environ[PLACE]) / name / "run"


def copied(name: str, folder: Path) -> Path:
    """A copy of it in `folder`, to be changed."""
    return Path(shutil.copytree(trained(name), folder / "run"))


def make_all(place: Path) -> None:
    """Those that are not there yet, each in a process of its own, so that none of this one's has started an accelerator."""
    os.environ[PLACE] = str(place.resolve())
    for name in NAMES:
        if not (place / f"{name}.done").exists():
            shutil.rmtree(place / name, ignore_errors=True)
            subprocess.run([sys.executable, __file__, str(place), name], check=True)
            (place / f"{name}.done").touch()


def _make(place: Path, name: str) -> None:
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from small_configs import small_config

    from sciddm.caches import keep_compiled
    from sciddm.train import fit

    keep_compiled()
    config = small_config(name, place.resolve() / name / "cache")
    for steps in (2, 4):  # two checkpoints
        config.training.steps = steps
        fit(config, place / name / "run", progress=False)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        _make(Path(sys.argv[1]), sys.argv[2])
    else:
        make_all(Path(sys.argv[1]))
