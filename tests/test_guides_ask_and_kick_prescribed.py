"""What guides may do beyond a shift of x0_hat: ask for a way of sampling, move x_s, draw random numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm.answer import Kick
from sciddm.arithmetic import batch_size, combine
from sciddm.denoiser import Draws, SamplingDefaults

A, Y = jnp.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]]), jnp.array([0.7, -0.4])


class Jitter(sd.Guide):
    """x0_hat plus a standard draw."""

    denoiser: sd.Denoiser
    draws: Draws = Draws()

    def evaluate(self, x_t, t, cond=None):
        answer = self.denoiser.evaluate(x_t, t, cond)
        z = self.process.noise.sample_batch(self.draws(batch_size(x_t)), x_t)
        return answer.to(combine(1.0, answer.x0_hat, 0.1, z), {"draw": z[:, 0]})


class Push(sd.Guide):
    """A constant kick of each kind."""

    denoiser: sd.Denoiser

    def defaults(self):
        return SamplingDefaults(solver="ddim", steps=4, grid="logsnr")

    def evaluate(self, x_t, t, cond=None):
        one = jnp.ones_like(x_t)
        return self.denoiser.evaluate(x_t, t, cond).kicked(Kick(of_x_s=one, of_x_t=2.0 * one, of_x_0=3.0 * one))


def test_a_kick_moves_x_s_by_what_each_kind_is_worth_there(mixture):
    process = sd.GaussianProcess.cosine()
    denoiser, start = mixture.denoiser(process), jnp.ones((2, 3))
    plain, _ = sd.sample(jax.random.key(0), denoiser, (2, 3), solver="ddim", grid=[0.8, 0.5], start=start)
    twice, info = sd.sample(jax.random.key(0), Push(Push(denoiser)), (2, 3), grid=[0.8, 0.5], start=start)
    a_s, a_t = process.alpha(0.5), process.alpha(0.8)
    np.testing.assert_allclose(twice - plain, jnp.full((2, 3), 2 * (1 + 2 * a_s / a_t + 3 * a_s)), rtol=1e-5)
    assert "kick" not in info
    assert np.all(np.isfinite(sd.sample(jax.random.key(0), Push(denoiser), (2, 3))[0]))  # alpha = 0 at the start


def test_a_guide_s_wish_is_a_default_and_no_more(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    guided = sd.guidance.classifier_free(Push(denoiser), 1.0)  # a wish is heard through the guides around

    def times(denoiser, **options):  # that there are so many asks for no compiled program
        return jax.eval_shape(lambda: sd.sample(jax.random.key(0), denoiser, (2, 3), **options)[1])["times"].shape[0]

    assert times(guided) == 5 and times(guided, steps=7) == 8 and times(denoiser) == 21
    inner, outer = SamplingDefaults("ddim", 5, None, (1,)), SamplingDefaults(None, 7, "t", (2,))
    assert inner.then(outer) == SamplingDefaults("ddim", 7, "t", (1, 2))


def test_a_kick_is_refused_where_no_step_would_pass_it_on(mixture):
    guided = sd.lookahead.dps(mixture.denoiser(sd.GaussianProcess.vp()), sd.lookahead.Observation(A, Y, 0.5))
    for solver in ("tsit5", "euler-maruyama"):
        with pytest.raises(ValueError, match="moves x between fixed steps"):
            sd.sample(jax.random.key(0), guided, (2, 3), solver=solver, steps=4)


def test_a_method_that_is_a_sampler_takes_no_other_solver(mixture):
    denoiser, obs = mixture.denoiser(sd.GaussianProcess.vp()), sd.lookahead.Observation(A, Y, 0.5)
    for method in ("ddrm", "reddiff", "dflow"):
        with pytest.raises(ValueError, match=f"{method} is a sampler of its own"):
            sd.sample(jax.random.key(0), getattr(sd.lookahead, method)(denoiser, obs), (2, 3), solver="ddim")


def test_draws_are_new_each_step_each_guide_and_each_sample_and_know_no_batch(mixture):
    denoiser = Jitter(Jitter(mixture.denoiser(sd.GaussianProcess.vp())))
    keys, other = jax.random.split(jax.random.key(0), 5), jax.random.split(jax.random.key(1), 3)
    many, info = sd.sample(keys, denoiser, (5, 3), solver="ddim", steps=6)
    few, _ = sd.sample(jnp.concatenate([other, keys[:2]]), denoiser, (5, 3), solver="ddim", steps=6)
    np.testing.assert_allclose(many[:2], few[3:], atol=1e-5)  # in another place, with other neighbours
    assert len(np.unique(np.asarray(info["draw"]))) == 30
    x_t = jnp.zeros((2, 3))
    np.testing.assert_array_equal(denoiser(x_t, 0.5), denoiser(x_t, 0.5))  # outside of a sampler always the same
    fresh = Draws.refresh(denoiser, jax.random.split(jax.random.key(1), 2))
    inner, outer = fresh.denoiser.draws(2), fresh.draws(2)
    assert not np.array_equal(jax.random.key_data(inner), jax.random.key_data(outer))


def test_calls_are_counted_as_they_happen(mixture):
    asked = []

    def expected(x_t, t, cond):
        jax.debug.callback(lambda: asked.append(1))
        return 0.5 * x_t

    denoiser = sd.FunctionDenoiser(expected, sd.GaussianProcess.vp())
    obs = sd.lookahead.Observation(A, Y, 0.5)
    for method, options in (
        ("daps", {"ode_steps": 3}),
        ("sitcom", {"inner_steps": 4}),
        ("dflow", {"ode_steps": 3, "iterations": 2}),
    ):
        asked.clear()
        steps = {} if method == "dflow" else {"steps": 3}
        guided = getattr(sd.lookahead, method)(denoiser, obs, **options)
        _, info = sd.sample(jax.random.key(0), guided, (1, 3), **steps)
        jax.effects_barrier()
        # each of dflow's three backward passes asks again for some of its three answers, which is no call of the method
        recomputed = range(10) if method == "dflow" else (0,)
        assert len(asked) - int(info["network_calls"]) in recomputed, method
        assert int(info["network_calls"]) == int(info["calls"].sum())
