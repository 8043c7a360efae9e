"""Eight virtual devices against one, in processes of their own: the number of devices is fixed when jax starts."""

import json
import os
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from toy_domain import toy_config

from sciddm.errors import UserError
from sciddm.train.checkpoint import Checkpoints
from sciddm.train.sharding import make_mesh, usable_cores, virtual_devices

SCRIPT = """
import sys
from toy_domain import toy_config
from sciddm.train import fit
config = toy_config(steps=int(sys.argv[2]), log_every=int(sys.argv[4]))
config.checkpoint.every = max(20, int(sys.argv[4]))
config.mesh.fsdp = int(sys.argv[3])
state = fit(config, sys.argv[1], progress=False)
import jax
print(len(jax.devices()), state.params["middle"]["kernel"].sharding.spec)
"""


def run(workdir, devices, steps=40, fsdp=1, log_every=1):
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path), "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(workdir), str(steps), str(fsdp), str(log_every)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def losses(workdir):
    return [json.loads(line)["loss"] for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_eight_devices_give_the_loss_trace_of_one_and_each_others_checkpoints(tmp_path):
    one, data, split = tmp_path / "one", tmp_path / "data", tmp_path / "split"
    run(one, 1)
    assert "8" in run(data, 8)
    assert "fsdp" in run(split, 8, fsdp=2)
    for workdir in (data, split):
        assert len(losses(workdir)) == 40
        np.testing.assert_allclose(losses(workdir), losses(one), rtol=1e-5, atol=1e-5)
    for workdir, devices, fsdp in (
        (split, 1, 1),
        (one, 8, 4),
    ):  # a checkpoint of eight goes on on one, and one of one on eight
        shutil.rmtree(workdir / "checkpoints" / "40")
        run(workdir, devices, fsdp=fsdp)
        np.testing.assert_allclose(losses(workdir), losses(data), rtol=1e-5, atol=1e-5)


def test_a_mesh_that_does_not_fit_is_refused():
    config = toy_config()
    config.mesh.data, config.mesh.fsdp = 3, 2
    with pytest.raises(UserError, match="product is"):
        make_mesh(config)
    config = toy_config(batch_size=16)
    assert make_mesh(config).shape["data"] == len(jax.devices())


@pytest.mark.parametrize(
    "cores, data, fsdp, batch, expected",
    [(2, -1, 1, 16, 2), (4, -1, 1, 6, 3), (4, -1, 1, 7, 1), (8, -1, 2, 16, 8), (3, -1, 2, 16, 2), (1, -1, 1, 16, 1), (8, 2, -1, 12, 6),
     (8, 1, 1, 16, 1), (8, 2, 1, 16, 2), (2, 3, 1, 12, 1), (8, 0, 1, 16, 1), (2, -1, 4, 16, 1)],
)  # fmt: skip
def test_virtual_devices_are_the_most_that_the_cores_the_mesh_and_the_batch_allow(cores, data, fsdp, batch, expected):
    config = toy_config(batch_size=batch)
    config.mesh.data, config.mesh.fsdp = data, fsdp
    assert virtual_devices(config, cores) == expected


COMMAND_LINE = """
import sys
from sciddm import cli, train
train.fit = lambda *arguments, **options: None  # what is asked here is decided before
assert cli.main(["train", "--config", *sys.argv[1:]]) == 0
import jax
print("devices", len(jax.devices()))
"""


@pytest.mark.parametrize("case", ["default", "mesh", "variable", "flags"])
def test_the_command_line_takes_a_device_a_core_unless_told_otherwise(case, tmp_path):
    (tmp_path / "toy.py").write_text(
        "from toy_domain import toy_config\n\n\ndef get_config(variant=''):\n    return toy_config(steps=2)\n"
    )
    plain = {key: value for key, value in os.environ.items() if key not in ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS")}
    overrides, told, expected = {
        "default": ([], {}, virtual_devices(toy_config(), usable_cores())),
        "mesh": (["--config.mesh.data=1"], {}, 1),
        "variable": ([], {"JAX_NUM_CPU_DEVICES": "4"}, 4),
        "flags": ([], {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}, 4),
    }[case]
    command = [str(tmp_path / "toy.py"), "--workdir", str(tmp_path / "run"), "--quiet", *overrides]
    environment = plain | {"PYTHONPATH": os.pathsep.join(sys.path)} | told
    done = subprocess.run(
        [sys.executable, "-c", COMMAND_LINE, *command], env=environment, capture_output=True, text=True
    )
    assert f"devices {expected}\n" in done.stdout, done.stderr


def test_steps_that_nothing_waits_for_come_to_their_end_over_two_devices(tmp_path):
    # Devices of one process wait for each other for ever once their queue of steps is full: the loop must not fill it.
    run(tmp_path / "run", 2, steps=300, log_every=10**6)
    assert Checkpoints(tmp_path / "run", read_only=True).steps()[0] == 300
