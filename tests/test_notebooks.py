"""Every notebook runs from top to bottom as the script it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "notebooks").glob("*.py")))
def test_notebook_runs(name, tmp_path):
    environment = os.environ | {"MPLBACKEND": "agg", "SCIDDM_WORKDIR": str(tmp_path / "run")}
    done = subprocess.run(
        [sys.executable, f"notebooks/{name}.py"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
