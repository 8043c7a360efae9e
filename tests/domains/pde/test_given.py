"""What a user brings to PDE tasks: the tasks' own problems as files, other names and units, blocks."""

import importlib

import jax
import numpy as np
import pytest

import sciddm as sd
from sciddm.given import things


@pytest.fixture(scope="module")
def domain(once):
    def config(folder):
        found = importlib.import_module("configs.pde").get_config("smoke")
        found.data.update({"resolution": 16, "count": 64, "held_out": 8, "cache": str(folder)})
        return found

    return sd.get_domain(config(once("darcy", lambda folder: sd.get_domain(config(folder)).dataset("test"))))


def given(task, *brought):
    return task.problem_given(jax.random.key(0), things(list(brought), task.given_names))


@pytest.mark.parametrize("name", ["forward", "inverse", "superresolve"])
def test_an_example_as_files_is_the_same_problem(name, domain, tmp_path):
    task = domain.tasks[name]
    problem = task.problem(jax.random.key(1), domain.fields("test")[0])
    brought = given(task, *task.write_given(problem, tmp_path))
    assert brought.truth is None and brought.cond is None
    assert jax.tree.structure(problem.observation) == jax.tree.structure(brought.observation)
    for a, b in zip(*(jax.tree.leaves(one.observation) for one in (problem, brought)), strict=True):
        if name == "superresolve":  # back from physical units, in single precision
            np.testing.assert_allclose(a, b, atol=2e-6)
        else:
            np.testing.assert_array_equal(a, b)


def test_published_names_and_units_are_those_of_the_equation(domain, tmp_path):
    (tmp_path / "s.csv").write_text("Variable,y,x,value [%],error\nsolution,0.5,0.52,0.9,0.1\nU,0.1,0.2,0.3,0.1\n")
    problem = given(domain.tasks["inverse"], tmp_path / "s.csv")
    np.testing.assert_allclose(problem.extras["observed"]["u"][1], [0.009, 0.003])
    with pytest.raises(sd.UserError, match="line 2: u is in 'Pa'; expected '1'"):
        (tmp_path / "s.csv").write_text("variable,y,x,value [Pa]\nu,0.5,0.52,0.9\n")
        given(domain.tasks["inverse"], tmp_path / "s.csv")


def test_generating_is_steered_by_both_sides_at_once(domain, tmp_path):
    (tmp_path / "s.csv").write_text("variable,y,x,value,error\nu,0.5,0.52,0.01,0.001\na,0.1,0.2,3,1\n")
    native = domain.to_native(domain.fields("test")[:1]).isel(sample=0)
    problem = given(domain.tasks["generate"], tmp_path / "s.csv", native[["a"]].coarsen(y=4, x=4).mean())
    x = domain.normalizer.normalize(domain.fields("test")[:1])
    assert len(jax.tree.leaves(problem.observation.operator(x))) == 2
    assert np.isfinite(float(problem.observation(x)[0]))
    assert given(domain.tasks["generate"]).observation is None
