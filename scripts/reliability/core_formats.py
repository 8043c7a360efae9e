"""What the core itself reads: tables, checkpoints, exports, kept samples."""

import shutil
from pathlib import Path

import flips
from runs import trained

TABLE = """station,time,x [km],y [km],rain [mm/h]
a,2024-05-01 10:00,1.5,2.5,0.1
b,2024-05-01 10:05,2.5,3.5,12
c,2024-05-01T10:10Z,3,4,NA
"""


def table(path: Path) -> Path:
    file = path.with_suffix(".csv")
    file.write_text(TABLE)
    return file


def read_table(path: Path) -> dict:
    from sciddm.data.tables import read_table

    found = read_table(path)
    return {"columns": {name: list(map(str, column)) for name, column in found.columns.items()}, "units": found.units}


def checkpoint(path: Path) -> Path:
    """The newest checkpoint of a run, alone."""
    shutil.copytree(trained("toy") / "checkpoints" / "4", path / "checkpoints" / "4")
    return path


def read_arrays(path: Path) -> dict:
    from sciddm.export import open_source

    arrays, meta = open_source(path).arrays("ema")
    return {
        "step": meta["step"],
        "config": str(meta["config"]),
        **{name: array.tobytes().hex() for name, array in arrays.items()},
    }


def exported(path: Path) -> Path:
    """An export of a run, made by the command line in a process of its own, so that this one starts no accelerator."""
    import subprocess
    import sys

    command = [sys.executable, "-m", "sciddm.cli", "export", str(trained("toy")), str(path)]
    subprocess.run(command, check=True, capture_output=True, env=flips.environment())
    return path


FORMATS = [
    flips.Format("table .csv", table, read_table),
    flips.Format("checkpoint", checkpoint, read_arrays, checked=True),
    flips.Format("export", exported, read_arrays, checked=True),
]
