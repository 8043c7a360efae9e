import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd


@pytest.mark.parametrize("solver", ["ddpm", "dpmpp2m", "euler-maruyama"])
def test_sample_i_depends_on_key_and_i_alone(solver, mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    many, _ = sd.sample(jax.random.key(4), denoiser, (33, 3), solver=solver)
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(4), i))(np.arange(33))
    for some in (slice(0, 5), slice(28, 33)):
        few, _ = sd.sample(keys[some], denoiser, (5, 3), solver=solver)
        np.testing.assert_allclose(many[some], few, atol=1e-6)


def test_a_second_call_compiles_nothing(mixture):
    process, traces = sd.GaussianProcess.vp(), []
    exact = mixture.denoiser(process)

    def function(x_t, t, cond):
        traces.append(1)
        return exact(x_t, t)

    denoiser = sd.FunctionDenoiser(function, process)
    for seed, scale in ((0, 1.5), (1, 2.5), (2, 3.5)):
        obs = sd.lookahead.Observation(jnp.eye(3)[:1], jnp.full((1,), scale), 0.1 * scale)
        guided = sd.lookahead.pigdm(sd.guidance.classifier_free(denoiser, scale), obs, prior_variance=scale)
        sd.sample(jax.random.key(seed), guided, (4, 3))
        if seed == 0:
            first = len(traces)
    assert len(traces) == first


def test_the_path_starts_at_the_noise_and_ends_at_the_sample(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.ve())
    start = 100.0 * jax.random.normal(jax.random.key(0), (6, 3))
    samples, info = sd.sample(jax.random.key(1), denoiser, (6, 3), steps=9, start=start, return_path=True)
    assert info["path"].shape == (10, 6, 3) and info["times"].shape == (10,)
    np.testing.assert_array_equal(info["path"][0], start)
    np.testing.assert_array_equal(info["path"][-1], samples)
    with pytest.raises(ValueError, match="start"):
        sd.sample(jax.random.key(1), denoiser, (5, 3), start=start)


def test_a_correction_acts_between_steps_and_reports(mixture):
    class Pin(sd.Correction):
        def __call__(self, term, s, x_s):
            return x_s.at[:, 0].set(term.level(s).alpha * 1.5), {"moved": x_s[:, 0]}

    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    samples, info = sd.sample(jax.random.key(0), denoiser, (5, 3), corrections=(Pin(),), steps=12)
    np.testing.assert_allclose(samples[:, 0], 1.5, rtol=1e-6)
    assert info["moved"].shape == (12, 5)


def test_sampling_is_differentiable_through_every_step(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())

    def end(shift):
        start = jax.random.normal(jax.random.key(0), (1, 3)) + shift
        return sd.sample(jax.random.key(0), denoiser, (1, 3), start=start, steps=30)[0].sum()

    with jax.enable_x64(False):
        slope = jax.grad(end)(0.0)
        np.testing.assert_allclose(slope, (end(1e-2) - end(-1e-2)) / 2e-2, rtol=2e-2)


def test_times_given_as_a_grid_work_under_jit(mixture):
    denoiser, grid = mixture.denoiser(sd.GaussianProcess.vp()), [1.0, 0.6, 0.2, 0.0]

    def draw(key):
        return sd.sample(key, denoiser, (2, 3), grid=grid)[0]

    np.testing.assert_allclose(jax.jit(draw)(jax.random.key(0)), draw(jax.random.key(0)), rtol=1e-5, atol=1e-6)


def test_a_function_in_the_place_of_a_denoiser_and_an_answer_of_another_shape_are_refused():
    process = sd.GaussianProcess.vp()
    with pytest.raises(TypeError, match="denoiser is a function; expected a sciddm.Denoiser. FunctionDenoiser"):
        sd.sample(0, lambda x_t, t, cond: x_t, (2, 3), steps=2)
    short = sd.FunctionDenoiser(lambda x_t, t, cond: x_t[:, :1], process)
    with pytest.raises(ValueError, match=r"gives x0_hat of shapes \(2, 1\); expected those of x_t, \(2, 3\)"):
        sd.sample(0, short, (2, 3), steps=2)
