"""Any instrument of fields by name in physical units: exact posteriors with an exact network, whatever guide or population meets them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_posterior import gaussian_posterior
from toy_domain import exact_model

import sciddm as sd
from sciddm import instruments, lookahead
from sciddm.tasks import make_tasks

# Points (x, y) in metres, N((1, 1), 4 [[1, .8], [.8, 1]]) under the exact network.
MEAN, COVARIANCE = np.ones(2), 4 * np.array([[1.0, 0.8], [0.8, 1.0]])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    model = exact_model(tmp_path_factory.mktemp("exact"))
    model.config.sampling.batch_size = 4000
    model.domain.tasks = make_tasks(model.domain, model.config)
    return model


def total(fields):
    return fields["x"].sum(-1, keepdims=True)


def assert_law(x, mean, covariance):
    """By five standard errors of the mean and of each entry of the covariance."""
    n, spread = len(x), np.sqrt(np.diag(covariance))
    assert np.all(np.abs(x.mean(0) - mean) <= 5 * spread / np.sqrt(n) + 0.01)
    errors = np.sqrt((np.outer(spread**2, spread**2) + covariance**2) / n)
    assert np.all(np.abs(np.cov(x.T) - covariance) <= 5 * errors + 0.01), np.cov(x.T)


def test_a_measured_sum_in_physical_units_meets_the_exact_posterior_and_two_at_once_do(model):
    by = {"steps": 60, "solver": "unipc2", "grid": "logsnr", "method": "mmps(iterations=3)"}
    of_sum = model.observe(total, [3.0], 0.5)
    assert_law(model.sample(0, 4000, observe=of_sum, **by), *gaussian_posterior(MEAN, COVARIANCE, [[1.0, 1.0]], [3.0], 0.5))
    of_first = model.observe(lambda f: 1000.0 * f["x"][:, :1], [2000.0], 400.0)  # the same in millimetres
    A, y, std = np.array([[1.0, 1.0], [1.0, 0.0]]), [3.0, 2.0], np.array([0.5, 0.4])
    gain = COVARIANCE @ A.T @ np.linalg.inv(A @ COVARIANCE @ A.T + np.diag(std**2))
    expected = MEAN + gain @ (y - A @ MEAN), COVARIANCE - gain @ A @ COVARIANCE
    assert_law(model.sample(0, 4000, observe=(of_sum, of_first), **by), *expected)


def test_a_task_s_own_measurement_is_joined_with_what_else_is_observed(model):
    by = {"steps": 60, "solver": "unipc2", "grid": "logsnr", "method": "mmps(iterations=3)"}
    of_sum = model.observe(total, [3.0], 0.5)
    made = model.sample(0, 4000, task="half", given="x=2", observe=of_sum, **by)
    A, y, std = np.array([[1.0, 0.0], [1.0, 1.0]]), [2.0, 3.0], np.array([0.1, 0.5])
    gain = COVARIANCE @ A.T @ np.linalg.inv(A @ COVARIANCE @ A.T + np.diag(std**2))
    assert_law(made, MEAN + gain @ (y - A @ MEAN), COVARIANCE - gain @ A @ COVARIANCE)


def test_the_same_objects_go_into_populations_and_any_guide(model):
    of_sum = model.observe(total, [3.0], 0.5)
    mean, covariance = gaussian_posterior(MEAN, COVARIANCE, [[1.0, 1.0]], [3.0], 0.5)
    result = sd.particles.smc(0, model.denoiser, of_sum, (2,), num_particles=2000, steps=50)
    np.testing.assert_allclose(model.normalizer.denormalize(result.mean()), mean, atol=0.25)
    evidence = -0.5 * ((3.0 - 2.0) ** 2 / (14.4 + 0.25) + np.log(2 * np.pi * (14.4 + 0.25)))
    np.testing.assert_allclose(result.log_evidence, evidence, atol=0.1)
    guided = lookahead.dps(model.denoiser, of_sum)
    assert np.isfinite(sd.sample(0, guided, (4, 2), steps=4)[0]).all()


def test_a_potential_draws_and_a_constraint_holds_exactly_and_whatever_is_observed_beside(model):
    right = model.potential(lambda f: f["x"][:, 0])
    np.testing.assert_allclose(right(np.array([[1.0, 0.0]]), 0.3), [3.0])
    zero = model.constrain(lambda f: {"x": f["x"] - f["x"].mean(-1, keepdims=True)})
    plain, drawn, both = (
        model.sample(0, 200, observe=wanted, steps=20) for wanted in (model.observe(total, [0.0], 9.0), (right,), (right, zero))
    )
    assert drawn[:, 0].mean() > plain[:, 0].mean() + 1.0
    assert np.abs(both.sum(-1)).max() < 1e-5 and both[:, 0].mean() > 0.2


def test_a_law_of_the_measurement_may_stand_in_the_place_of_its_error(model):
    counts = model.observe(lambda f: jnp.exp(0.5 * f["x"][:, :1]), [7.0], lookahead.Poisson())
    made = model.sample(0, 200, observe=counts, steps=20)
    assert abs(np.exp(0.5 * made[:, 0]).mean() - 7.0) < 2.0


@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda m: m.observe(lambda f: f["u"], 0.0, 1.0), "KeyError|'u'.*fields by name: x \\(2,\\)"),
        (lambda m: m.observe(total, [1.0, 2.0], 1.0), "does not fit.*the instrument gives \\(1,\\) a sample"),
        (lambda m: m.observe(total, [np.nan], 1.0), "NaN.*the instrument gives"),
        (lambda m: m.observe(total, [1.0], -1.0), "noise_std is negative"),
        (lambda m: m.potential(total), "gives \\(1, 1\\) of one sample; expected \\(1,\\)"),
        (lambda m: m.constrain(lambda f: f["x"]), "expected the fields that are moved by name"),
        (lambda m: m.constrain(lambda f: {"x": f["x"][:, :1]}), "x has shape \\(1,\\), expected \\(2,\\)"),
        (lambda m: m.sample(0, 2, observe=3.0), "a float; expected what model.observe"),
        (lambda m: m.sample(0, 2, observe=m.observe(total, [0.0], 1.0), method="mps"), "did you mean mmps"),
        (lambda m: m.sample(0, 2, given="x=2"), "say for which task, one of \\['half'\\]"),
        (lambda m: m.sample(0, 2, "half", given="y=2"), "can't be meant here; .*expected x=METRES"),
        (lambda m: m.sample(0, 2, "half", given=[]), "--given is empty; expected x=METRES"),
    ],
)
def test_what_does_not_fit_is_one_line_with_the_fields_there_are(model, wrong, said):
    with pytest.raises(sd.UserError, match=said):
        wrong(model)


def test_answers_do_not_depend_on_how_many_there_are_or_which_are_asked_for(model):
    problem = model.problem("half", given="x=2")
    whole = model.solve(3, "half", problem, 6, steps=5)
    np.testing.assert_array_equal(whole[2:5], model.solve(3, "half", problem, 3, rows=jax.numpy.arange(2, 5), steps=5))


def test_a_method_is_that_of_what_is_observed_and_never_a_task_s_own_word_of_that_name(model):
    class Wish(sd.tasks.Generate):
        method = "classifier-free"  # of its own kind

    of_sum, problem = model.observe(total, [3.0], 0.5), sd.Problem()
    task, denoiser, _ = instruments.with_more(model.denoiser, Wish(model.domain), problem, of_sum, "dps")
    assert task.method == "classifier-free" and type(denoiser) is type(lookahead.dps(model.denoiser, of_sum))
    with pytest.raises(sd.UserError, match="Wish is not steered by an observation"):
        instruments.with_more(model.denoiser, task, problem, None, "dps")
    half = instruments.with_more(model.denoiser, model.task("half"), model.problem("half", given="x=2"), None, "dps")[0]
    assert half.method == "dps" and model.task("half").method == "pigdm"
