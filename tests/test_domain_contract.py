"""What every domain must do, run through the same checks on one small run. A new domain is one line in `small_configs`."""

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest
from small_configs import DOMAINS

import sciddm as sd
from sciddm.domain import reward_potential
from sciddm.train.checkpoint import Checkpoints


@pytest.fixture(params=DOMAINS)
def name(request):
    return request.param


@pytest.fixture
def model(name, small_model):
    return small_model(name)


@pytest.fixture
def x(model):
    """Training data in physical units."""
    data = model.domain.dataset("train")
    elements = [data[i]["x"] for i in range(0, len(data), max(len(data) // 128, 1))]
    assert jax.tree.map(np.shape, elements[0]) == jax.tree.map(lambda leaf: leaf.shape, model.domain.example)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *elements)


def shapes(tree):
    return jax.tree.map(np.shape, tree)


def test_a_run_of_two_steps_goes_on_where_it_stopped(name, small_run):
    assert Checkpoints(small_run(name), read_only=True).steps() == [4, 2]


def test_data_are_of_the_example_s_shape_and_the_normaliser_goes_there_and_back(model, x):
    domain = model.domain
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


def test_every_reward_has_units_another_beside_it_and_a_finite_value_and_potential_with_a_gradient_or_none(model, x):
    rewards, few = model.domain.rewards, jax.tree.map(lambda leaf: leaf[:6], x)
    for name, reward in rewards.items():
        assert reward.units and reward.held_out != name and reward.held_out in rewards, name
    values = jax.jit(lambda x: {name: reward.function(x) for name, reward in rewards.items()})(few)
    potentials = {name: reward_potential(model.domain, name) for name in rewards}
    slopes = jax.jit(
        lambda z: {name: jax.grad(lambda z, p=p: p(z, 0.0).sum())(z) for name, p in potentials.items()}
    )(model.normalizer.normalize(few))
    for name, reward in rewards.items():
        assert values[name].shape == (6,) and np.isfinite(values[name]).all(), name
        steepest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(slopes[name]))
        assert np.isfinite(steepest) and (steepest > 0) == reward.differentiable, name


def test_samples_are_of_the_right_shape_go_through_the_native_form_and_back_and_are_saved_and_drawn(model, tmp_path):
    native = model.sample(0, 5)
    x = model.domain.from_native(native)
    assert shapes(x) == jax.tree.map(lambda leaf: (5, *leaf.shape), model.domain.example)
    model.domain.save(native, tmp_path / f"samples{model.domain.suffix}")
    assert isinstance(model.domain.plot(native), plt.Figure)
    assert all(np.isfinite(value) for value in model.domain.metrics(x, x).values())
    plt.close("all")


def test_tasks_are_those_that_are_tested_here(name, model):
    assert set(model.domain.tasks) == set(DOMAINS[name][1])


@pytest.mark.parametrize(
    "name, kind", [(name, kind) for name, (_, kinds) in DOMAINS.items() for kind in kinds], indirect=["name"]
)
def test_a_task_makes_a_problem_two_members_scores_a_classical_answer_and_a_picture(kind, model):
    task, problem = model.domain.tasks[kind], model.problem(kind)
    members = model.solve(1, kind, problem, 2, steps=3, progress=False)
    shape = shapes(problem.truth)  # of the example, unless the task's answers are longer or wider
    assert shapes(members) == jax.tree.map(lambda leaf: (2, *leaf.shape), problem.truth)
    assert task.metrics(members, problem)
    controls = task.controls(model, jax.random.key(1), problem, 2)
    for answer in [*controls.values(), *task.baseline(problem).values()]:  # one x, or an ensemble
        assert shapes(answer) == shape or jax.tree.map(lambda leaf: leaf.shape[1:], answer) == shape
    assert isinstance(task.plot(members, problem), plt.Figure)
    plt.close("all")


def test_the_core_never_imports_a_domain():
    import pathlib
    import re

    for file in pathlib.Path(sd.__file__).parent.rglob("*.py"):
        assert not re.search(r"^\s*(from|import) domains", file.read_text(), re.MULTILINE), file
