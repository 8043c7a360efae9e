"""--device: what is asked for is what computes, is said, and where it is not there one line says what is."""

import argparse
import os
import subprocess
import sys

import jax
import pytest

from sciddm import cli, devices
from sciddm.devices import Device
from sciddm.errors import UserError


@pytest.fixture(autouse=True)
def _platforms():
    yield
    jax.config.update("jax_default_device", None)
    jax.config.update("jax_platforms", "cpu")


def test_a_kind_and_a_place_are_read_and_nothing_else():
    assert devices.device("gpu") == Device("gpu") and devices.device("cpu:0") == Device("cpu", 0)
    for wrong in ("cuda", "gpu:", "gpu:-1", "gpu:a", "", "1"):
        with pytest.raises(argparse.ArgumentTypeError, match="such as gpu:0"):
            devices.device(wrong)


def test_a_device_that_is_not_there_is_one_line_with_those_that_are(toy_run, capsys):
    lines = {"gpu": "jax finds 1 cpu: leave --device out, or say --device cpu", "cpu:3": "has cpu:0 alone; JAX_NUM_CPU_DEVICES=4 in front"}
    for asked, line in lines.items():
        assert cli.main(["sample", "--workdir", str(toy_run), "--device", asked]) == 2
        said = capsys.readouterr().err.splitlines()
        assert line in said[-1] and said[-1].startswith("sciddm: --device")


def test_a_platform_of_the_environment_that_is_not_there_is_one_line(monkeypatch):
    for error in (AssertionError(), RuntimeError("Unknown backend")):  # as jax says it, by the way in which the platform is missing

        def devices_of_jax(error=error):
            raise error

        monkeypatch.setattr(jax, "devices", devices_of_jax)
        with pytest.raises(UserError, match="JAX_PLATFORMS=cpu: jax finds no devices of it; leave it out"):
            devices.announce(None)


# What trains is asked before it begins: the devices of the mesh are those that the loop would use.
TWO = """
import sys
import jax
from sciddm import cli, load, train
from sciddm.train.sharding import make_mesh
config, run = sys.argv[1:]
train.fit = lambda config, *arguments, **options: print("mesh", make_mesh(config).devices.ravel().tolist())
for device in ("cpu:1", "cpu"):
    assert cli.main(["train", "--config", config, "--workdir", run, "--quiet", "--device", device]) == 0
    print("loaded", {device for leaf in jax.tree.leaves(load(run).denoiser.network.params) for device in leaf.devices()})
"""


def test_one_device_of_two_is_used_alone_and_both_where_no_place_is_said(toy_run, tmp_path):
    (tmp_path / "toy.py").write_text("from toy_domain import toy_config\n\n\ndef get_config(variant=''):\n    return toy_config()\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "JAX_NUM_CPU_DEVICES": "2", "JAX_PLATFORMS": ""}
    command = [sys.executable, "-c", TWO, str(tmp_path / "toy.py"), str(toy_run)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asked = [line for line in done.stdout.splitlines() if line.startswith(("mesh", "loaded"))]
    assert asked == [
        "mesh [CpuDevice(id=1)]", "loaded {CpuDevice(id=1)}", "mesh [CpuDevice(id=0), CpuDevice(id=1)]", "loaded {CpuDevice(id=0)}",
    ]  # fmt: skip
    assert "device: cpu:1 alone of 2" in done.stderr and "device: cpu, 2 virtual devices" in done.stderr
