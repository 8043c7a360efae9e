"""Every notebook runs from top to bottom. What it would train first has been trained in small by then; alone it trains its own."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import pytest
from small_configs import DOMAINS

import sciddm as sd
from sciddm import train
from sciddm.config import validate
from sciddm.train.state import make_denoiser

ROOT = Path(__file__).parent.parent
NAMES = sorted(path.stem for path in (ROOT / "notebooks").glob("*.py"))
TRAINING = [name for name in NAMES if name in DOMAINS]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(name): that notebook with its run in `tmp_path`, here, where what it imports and compiles serves other tests too."""
    monkeypatch.setenv("SCIDDM_WORKDIR", str(tmp_path / "run"))
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    backend = plt.get_backend()
    plt.switch_backend("agg")
    with plt.rc_context():
        yield lambda name: runpy.run_path(f"notebooks/{name}.py", run_name="__main__")
    plt.close("all")
    plt.switch_backend(backend)


# What the others show, pages show too, whose code runs in `test_docs`.
@pytest.mark.parametrize("name", [name if name == "pde" else pytest.param(name, marks=pytest.mark.slow) for name in NAMES])
def test_notebook_runs(name, run, small_run, tmp_path):
    if name in TRAINING:
        shutil.copytree(small_run(name), tmp_path / "run")
    run(name)


@pytest.mark.parametrize("name", TRAINING)
def test_the_toy_that_a_notebook_trains_has_data_and_a_network_and_a_folder_of_its_own(name, run, monkeypatch, tmp_path):
    class Enough(Exception):
        pass

    def begin(config, workdir, progress):
        validate(config)
        domain = sd.get_domain(config)
        x = domain.dataset("train")[0]["x"]
        assert jax.tree.map(lambda leaf: leaf.shape, x) == jax.tree.map(lambda leaf: leaf.shape, domain.example)
        make_denoiser(config, domain, 1.0)
        assert Path(workdir) == tmp_path / "runs" / "notebooks" / name  # where it is no run of yours
        raise Enough

    for folder in ("configs", "notebooks"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCIDDM_WORKDIR")
    monkeypatch.setattr(train, "fit", begin)
    with pytest.raises(Enough):
        run(name)


def test_every_notebook_names_its_kernel_and_leaves_the_choice_of_where_pictures_appear_to_jupyter():
    for name in NAMES:
        text = (ROOT / "notebooks" / f"{name}.py").read_text()
        assert text.startswith("# ---\n# jupyter:") and "#     name: python3\n# ---" in text, name
        assert "matplotlib.use" not in text and "MPLBACKEND" not in text and "plt.show()" in text, name


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINING)
def test_a_notebook_alone_is_a_script_that_trains_its_toy(name, tmp_path):
    environment = os.environ | {"MPLBACKEND": "agg", "SCIDDM_WORKDIR": str(tmp_path / "run")}
    done = subprocess.run(
        [sys.executable, f"notebooks/{name}.py"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
