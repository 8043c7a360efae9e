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
from sciddm.train import fit
from sciddm.train.checkpoint import Checkpoints
from sciddm.train.sharding import make_mesh, usable_cores, use_cores, virtual_devices

SCRIPT = """
import sys
import jax
from test_sharding import train
for workdir, fsdp in zip(sys.argv[3::2], sys.argv[4::2]):
    state = train(workdir, int(sys.argv[1]), int(fsdp), int(sys.argv[2]))
    print(len(jax.devices()), state.params["middle"]["kernel"].sharding.spec)
"""


def train(workdir, steps=40, fsdp=1, log_every=1):
    config = toy_config(steps=steps, log_every=log_every, held_out=32 if fsdp == log_every == 1 else 0)
    config.checkpoint.every = max(20, log_every)
    config.mesh.fsdp = fsdp
    return fit(config, workdir, progress=False)


def on_devices(devices, *workdirs, steps=40, log_every=1):
    """A line about each of the runs that one process with so many devices makes, given as (workdir, fsdp)."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([*sys.path, os.path.dirname(__file__)]),
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}",
    }  # fmt: skip
    command = [sys.executable, "-c", SCRIPT, str(steps), str(log_every), *(str(part) for pair in workdirs for part in pair)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def losses(workdir):
    return [json.loads(line)["loss"] for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_eight_devices_give_the_loss_trace_of_one_and_each_others_checkpoints(tmp_path):
    one, data, split, begun = (tmp_path / name for name in ("one", "data", "split", "begun"))
    assert len(jax.devices()) == 1  # here; in the other process eight
    train(one)
    shutil.copytree(one, begun)
    shutil.rmtree(begun / "checkpoints" / "40")  # a checkpoint of one goes on on eight
    given = on_devices(8, (data, 1), (split, 2), (begun, 4))
    assert all(line.startswith("8 ") for line in given) and "fsdp" in given[1] and "fsdp" in given[2]
    for workdir in (data, split, begun):
        assert len(losses(workdir)) == 40
        np.testing.assert_allclose(losses(workdir), losses(one), rtol=1e-5, atol=1e-5)
    alone, shared = ([look["each"] for look in Checkpoints(run, read_only=True).meta()["held_out"]] for run in (one, data))
    np.testing.assert_allclose(shared, alone, rtol=1e-4)
    assert losses(begun)[:20] == losses(one)[:20] and Checkpoints(begun, read_only=True).steps()[0] == 40
    shutil.rmtree(split / "checkpoints" / "40")  # and one of eight on one
    assert int(train(split).step) == 40
    np.testing.assert_allclose(losses(split), losses(data), rtol=1e-5, atol=1e-5)


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


@pytest.mark.parametrize("case", ["default", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mesh", "variable", "flags"))])
def test_the_command_line_takes_a_device_a_core_unless_told_otherwise(case, tmp_path):
    (tmp_path / "toy.py").write_text(
        "from toy_domain import toy_config\n\n\ndef get_config(variant=''):\n    return toy_config(steps=2, held_out=0)\n"
    )
    plain = {key: value for key, value in os.environ.items() if key not in ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS")}
    overrides, given, expected = {
        "default": ([], {}, virtual_devices(toy_config(), usable_cores())),
        "mesh": (["--config.mesh.data=1"], {}, 1),
        "variable": ([], {"JAX_NUM_CPU_DEVICES": "4"}, 4),
        "flags": ([], {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}, 4),
    }[case]
    command = [str(tmp_path / "toy.py"), "--workdir", str(tmp_path / "run"), "--quiet", *overrides]
    environment = plain | {"PYTHONPATH": os.pathsep.join(sys.path)} | given
    done = subprocess.run(
        [sys.executable, "-c", COMMAND_LINE, *command], env=environment, capture_output=True, text=True
    )
    assert f"devices {expected}\n" in done.stdout, done.stderr


@pytest.mark.parametrize("said", [{"JAX_NUM_CPU_DEVICES": "4"}, {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}])
def test_a_number_of_devices_that_the_user_said_stands(said, monkeypatch):
    asked = []
    monkeypatch.setattr(type(jax.config), "update", lambda config, *what: asked.append(what))  # this process has its devices already
    for name in ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS"):
        monkeypatch.delenv(name, raising=False)
    use_cores(toy_config())
    assert asked == [("jax_num_cpu_devices", virtual_devices(toy_config(), usable_cores()))]
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    use_cores(toy_config())
    assert len(asked) == 1


def test_steps_that_nothing_waits_for_come_to_their_end_over_two_devices(tmp_path):
    # Devices of one process wait for each other for ever once their queue of steps is full: the loop must not fill it.
    on_devices(2, (tmp_path / "run", 1), steps=300, log_every=10**6)
    assert Checkpoints(tmp_path / "run", read_only=True).steps()[0] == 300
