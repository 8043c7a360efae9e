"""NaN is "not observed" where an instrument has places, and an error elsewhere; a noise of 0 is exact, or refused by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm import lookahead, particles
from sciddm.errors import Refusal
from sciddm.lookahead import Observation, operators

KEY, STEPS, COUNT = jax.random.key(0), 40, 400
VARIANCE = 0.25
PRIOR = sd.oracle.GaussianMixture([1.0], jnp.zeros((1, 2)), VARIANCE).denoiser(sd.GaussianProcess.vp())
BOTH = operators.Mask(jnp.ones(2))
SEEN = .3 * VARIANCE / (VARIANCE + .01), np.sqrt(VARIANCE * .01 / (VARIANCE + .01))  # .288 and .098

INSTRUMENTS = {
    "mask of one": (operators.Mask(jnp.array([1.0, 0.0])), [0.3, np.nan]),
    "mask of both": (BOTH, [0.3, np.nan]),
    "points": (operators.Points(jnp.array([0, 1])), [0.3, np.nan]),
    "points, one thrice": (operators.Points(jnp.array([1, 0, 1])), [np.nan, 0.3, np.nan]),
    "after another operator": (operators.Compose(lambda x: 1.0 * x, BOTH), [0.3, np.nan]),
}


@pytest.mark.parametrize("method", ["mmps", "pigdm"])
@pytest.mark.parametrize("name", INSTRUMENTS)
def test_a_missing_value_leaves_the_exact_posterior_of_the_others(method, name):
    observation = Observation(*INSTRUMENTS[name], 0.1)
    options = {"prior_variance": VARIANCE} if method == "pigdm" else {}
    guided = getattr(lookahead, method)(PRIOR, observation, **options)
    start = np.random.default_rng(0).standard_normal((COUNT, 2)).astype(np.float32)
    start = (start - start.mean(0)) / start.std(0)  # of exactly the moments that the flow carries on
    samples, info = sd.sample(KEY, guided, (COUNT, 2), steps=STEPS, grid="logsnr", start=start)
    mean, std = np.mean(samples, 0), np.std(samples, 0)
    np.testing.assert_allclose([mean[0], std[0]], SEEN, atol=4e-3)
    np.testing.assert_allclose([mean[1], std[1]], [0.0, 0.5], atol=4e-3)
    assert np.isfinite(info["residual"]).all()


GUIDES = "steer dps lgd pigdm mmps freedom universal mpgd tfg ddnm ddrm repaint diffpir daps sitcom flowdps flowchef reddiff dflow"


@pytest.mark.parametrize("method", GUIDES.split())
def test_no_method_is_told_anything_by_a_missing_value(method):
    """The same samples, to the bit or to rounding, whatever stands under a mask: NaN, or a number that counts for nothing."""
    options = {"daps": {"ode_steps": 1}, "dflow": {"ode_steps": 2, "iterations": 1}, "sitcom": {"inner_steps": 2}}.get(method, {})
    steps = {} if method == "dflow" else {"steps": 3, "grid": "t"}
    made = []
    for operator, value in ((BOTH, [0.3, np.nan]), (operators.Mask(jnp.array([1.0, 0.0])), [0.3, 0.0])):
        guided = getattr(lookahead, method)(PRIOR, Observation(operator, value, 0.1), **options)
        made.append(np.asarray(sd.sample(KEY, guided, (3, 2), **steps)[0]))
    assert np.isfinite(made[0]).all()
    np.testing.assert_allclose(made[0], made[1], atol=2e-5)


def test_a_missing_value_counts_for_nothing_in_likelihood_evidence_and_simulation():
    x = np.array([[0.2, 1.0], [-0.4, 2.0]], np.float32)
    alone = Observation(operators.Points(jnp.array([0])), [0.3], 0.1)
    for name in INSTRUMENTS:
        observation = Observation(*INSTRUMENTS[name], 0.1)
        np.testing.assert_allclose(observation(x), alone(x), rtol=1e-6, err_msg=name)
        drawn = np.asarray(observation.simulate(KEY, x))
        assert np.isnan(drawn[:, np.isnan(INSTRUMENTS[name][1])]).all() and np.isfinite(drawn).sum() == 2
    missing = Observation(BOTH, [0.3, np.nan], 0.1)
    few = [particles.smc(KEY, PRIOR, o, (2,), num_particles=64, steps=20).log_evidence for o in (alone, missing)]
    np.testing.assert_allclose(few[0], few[1], atol=1e-4)


def test_values_may_miss_sample_by_sample_and_inside_a_compiled_function():
    value = np.array([[0.3, np.nan], [np.nan, 0.5]], np.float32)
    x = np.ones((2, 2), np.float32)
    observation = Observation(BOTH, value, 0.1)
    np.testing.assert_allclose(observation.residual(x), [[-0.7, 0.0], [0.0, -0.5]], rtol=1e-6)
    np.testing.assert_allclose(jax.jit(lambda y: Observation(BOTH, y, 0.1)(x))(value), observation(x), rtol=1e-6)
    tree = Observation(operators.Mask({"a": jnp.ones(2)}), {"a": [0.3, np.nan]}, 0.1)
    np.testing.assert_allclose(tree.residual({"a": x})["a"], [[-0.7, 0.0]] * 2, rtol=1e-6)


@pytest.mark.parametrize(
    "operator, value, place",
    [
        (jnp.eye(2), [0.3, np.nan], r"\(1,\)"), (lambda x: x, [[0.3, 1.0], [np.nan, 2.0]], r"\(1, 0\)"),
        (operators.Downsample(2), [[np.nan]], r"\(0, 0\)"), (operators.Compose(BOTH, lambda x: x), [0.3, np.nan], r"\(1,\)"),
        (BOTH, [np.inf, np.nan], r"\(0,\)"), (jnp.eye(2), [1.0, -np.inf], r"\(1,\)"),
        (lambda x: {"a": x}, {"a": [1.0, np.nan]}, r"\(1,\) of \['a'\]"), (jnp.array([[1.0, np.nan]]), [1.0], r"\(0, 1\)"),
        (operators.Mask(jnp.array([np.nan, 1.0])), [1.0, 1.0], r"\(0,\)"),
    ],
)  # fmt: skip
def test_elsewhere_a_value_that_is_no_number_is_an_error_that_names_the_index(operator, value, place):
    with pytest.raises(ValueError, match=f"at index {place}"):
        Observation(operator, value, 0.1)


@pytest.mark.parametrize("std", [np.nan, -0.1, [0.1, np.nan], [0.1, -0.1], np.inf])
def test_a_noise_that_is_negative_or_no_number_is_an_error(std):
    with pytest.raises(ValueError, match="noise_std"):
        Observation(BOTH, [0.3, 0.1], std)
    for law in (lookahead.Laplace, lookahead.Poisson, lambda s: lookahead.Quantised(s, 1.0), lookahead.Clipped):
        with pytest.raises(ValueError):
            law(std)


EXACT = Observation(BOTH, [0.3, 0.1], 0.0)


@pytest.mark.parametrize("method", ["mmps", "pigdm", "ddnm", "ddrm", "diffpir", "daps"])
def test_an_exact_value_is_met_by_methods_that_need_no_density(method):
    guided = getattr(lookahead, method)(PRIOR, EXACT)
    samples, _ = sd.sample(KEY, guided, (3, 2), steps=20, grid="logsnr")
    np.testing.assert_allclose(samples, [[0.3, 0.1]] * 3, atol=2e-3)


REFUSED = {
    "steer": lambda o: lookahead.steer(PRIOR, o),
    "lgd": lambda o: lookahead.lgd(PRIOR, o),
    "freedom": lambda o: lookahead.freedom(PRIOR, o),
    "universal": lambda o: lookahead.universal(PRIOR, o),
    "dflow": lambda o: lookahead.dflow(PRIOR, o),
    "daps with Langevin": lambda o: lookahead.daps(PRIOR, o, langevin_steps=5),
    "tilt": lambda o: particles.tilt(PRIOR, o),
    "smc": lambda o: particles.smc(KEY, PRIOR, o, (2,), num_particles=4, steps=3),
    "particle": lambda o: particles.svdd(KEY, PRIOR, o, (2,), num_particles=4, steps=3),
    "best_of_n": lambda o: particles.best_of_n(KEY, PRIOR, o, (2,), num_particles=4),
    "rollover_budget": lambda o: particles.rollover_budget(KEY, PRIOR, o, (2,), budget=20, steps=3),
    "search_over_paths": lambda o: particles.search_over_paths(KEY, PRIOR, o, (2,), copies=2),
    "reward_langevin": lambda o: particles.reward_langevin(KEY, PRIOR, o, (2,), num_particles=2, moves=2, burn_in=1),
}


@pytest.mark.parametrize("method", REFUSED)
def test_methods_that_divide_by_the_noise_refuse_an_exact_value_by_name(method):
    partly = Observation(BOTH, [0.3, 0.1], [0.1, 0.0])
    for potential in (EXACT, partly, lookahead.conjunction(EXACT, lambda x, t: x[:, 0]), lookahead.mixture(partly)):
        with pytest.raises(Refusal, match=f"{method}.*noise_std is 0"):
            REFUSED[method](potential)
    with pytest.raises(Refusal, match="regressor: noise_std is 0"):
        sd.guidance.regressor(PRIOR, lambda x, t: x[:, 0], 0.3, 0.0)
