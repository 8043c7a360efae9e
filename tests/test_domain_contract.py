"""What every domain must do, run through the same checks. A new domain is one line here."""

import importlib

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from toy_domain import toy_config

import sciddm as sd
from sciddm.domain import reward_potential
from sciddm.train import fit


def pde_config():
    config = importlib.import_module("configs.pde").get_config("smoke")
    config.data.update({"resolution": 16, "count": 96, "held_out": 8})
    config.network.update({"channels": (16, 16), "attention_levels": ()})
    config.data.guidance.steps = 4
    return config


def weather_config():
    config = importlib.import_module("configs.weather").get_config("smoke")
    config.data.update({"size": 32, "events": 10, "frames": 18, "held_out": 2, "wide": 48, "windows": 2})
    config.network.update({"channels": (8, 8), "attention_levels": (), "features": 16})
    config.data.guidance.update({"steps": 3, "gauges": 0.02})
    return config


def molecules_config():
    config = importlib.import_module("configs.molecules").get_config("smoke")
    config.data.update({"source": "qm9", "count": 60})
    config.network.update({"hidden": 16, "layers": 1})
    config.data.tasks.update({"steps": 3, "conformers": 2})
    config.data.tasks.count.update({"number": 1, "particles": 4})
    return config


DOMAINS = {"toy": toy_config, "pde": pde_config, "weather": weather_config, "molecules": molecules_config}


@pytest.fixture(params=DOMAINS)
def config(request, tmp_path):
    config = DOMAINS[request.param]()
    config.data.cache = str(tmp_path / "cache")
    config.training.update({"steps": 2, "wall_minutes": None, "batch_size": 8})
    config.sampling.update({"steps": 3, "batch_size": 4})
    config.checkpoint.every = 1
    return config


def test_domain_keeps_its_contract(config, tmp_path):
    workdir = tmp_path / "run"
    domain = sd.get_domain(config)

    # data are of the example's shape, and the normaliser's round trip is exact to rounding
    data = domain.dataset("train")
    elements = [data[i]["x"] for i in range(0, len(data), max(len(data) // 128, 1))]
    assert jax.tree.map(np.shape, elements[0]) == jax.tree.map(lambda leaf: leaf.shape, domain.example)
    x = jax.tree.map(lambda *leaves: np.stack(leaves), *elements)
    normal = domain.normalizer.normalize(x)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max()),
        domain.normalizer.denormalize(normal),
        x,
    )
    for leaf in jax.tree.leaves(normal):
        assert abs(leaf.mean()) < 0.6 and 0.5 < leaf.std() < 2.0
    stored = sd.Normalizer.from_json(domain.normalizer.to_json(), domain.example)
    jax.tree.map(np.testing.assert_allclose, stored.mean, domain.normalizer.mean)

    # every reward: a finite value a sample, in units, with another reward beside it, and a potential with a gradient or none
    for name, reward in domain.rewards.items():
        values = reward.function(jax.tree.map(lambda leaf: jnp.asarray(leaf[:6]), x))
        assert values.shape == (6,) and np.isfinite(values).all(), name
        assert reward.units and reward.held_out != name and reward.held_out in domain.rewards, name
        potential = reward_potential(domain, name)
        slope = jax.grad(lambda z, potential=potential: potential(z, 0.0).sum())(
            jax.tree.map(lambda leaf: jnp.asarray(leaf[:6]), normal)
        )
        steepest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(slope))
        assert np.isfinite(steepest) and (steepest > 0) == reward.differentiable, name

    # two steps, then two more from where it stopped
    assert int(fit(config, workdir, progress=False).step) == 2
    config.training.steps = 4
    assert int(fit(config, workdir, progress=False).step) == 4

    # samples of the right shape, through the native form and back, saved and drawn
    model = sd.load(workdir)
    native = model.sample(0, 5)
    x = model.domain.from_native(native)
    assert jax.tree.map(np.shape, x) == jax.tree.map(lambda leaf: (5, *leaf.shape), domain.example)
    model.domain.save(native, tmp_path / f"samples{model.domain.suffix}")
    assert isinstance(model.domain.plot(native), plt.Figure)
    assert all(np.isfinite(value) for value in model.domain.metrics(x, x).values())

    # every task: a problem, two members, scores, a classical answer, a picture
    for name, task in model.domain.tasks.items():
        problem = model.problem(name)
        members = model.solve(1, name, problem, 2, steps=3, progress=False)
        shape = jax.tree.map(np.shape, problem.truth)  # of the example, unless the task's answers are longer or wider
        assert jax.tree.map(np.shape, members) == jax.tree.map(lambda leaf: (2, *leaf.shape), problem.truth)
        assert task.metrics(members, problem)
        controls = task.controls(model, jax.random.key(1), problem, 2)
        for answer in [*controls.values(), *task.baseline(problem).values()]:  # one x, or an ensemble
            assert jax.tree.map(np.shape, answer) == shape or jax.tree.map(lambda leaf: leaf.shape[1:], answer) == shape
        assert isinstance(task.plot(members, problem), plt.Figure)
    plt.close("all")


def test_the_core_never_imports_a_domain():
    import pathlib
    import re

    for file in pathlib.Path(sd.__file__).parent.rglob("*.py"):
        assert not re.search(r"^\s*(from|import) domains", file.read_text(), re.MULTILINE), file
