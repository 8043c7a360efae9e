"""A step's law: what it draws, how it weighs, and that particles weigh by it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm import particles
from sciddm.particles.engine import Population, Resampling, look_at
from sciddm.particles.resample import systematic
from sciddm.particles.twists import MomentMatched, Tilted, Unknowing
from sciddm.solvers.base import DenoiserTerm
from sciddm.transition import GaussianTransition, Transition

KEYS = jax.random.split(jax.random.key(0), 3)
LAWS = {
    "white": (sd.White(), (3, 4)),
    "centred": (sd.ZeroCentreOfMass(), (3, 4, 2)),
    "masked": (sd.Masked(jnp.array([[1.0], [1.0], [0.0]])), (3, 3, 2)),
    "spectral": (sd.SpectralField.power_law((4,), 2.0, 2.0), (3, 4, 1)),
}


@pytest.mark.parametrize("law", LAWS)
def test_two_laws_of_one_spread_weigh_exactly_as_their_densities_do(law, x64):
    noise, shape = LAWS[law]
    here, there = (noise.each("project", jnp.asarray(x)) for x in np.random.default_rng(1).normal(size=(2, *shape)))
    std = jnp.asarray(0.3)
    model, proposal = (GaussianTransition(mean, std, noise) for mean in (here, there))
    x, log_ratio = jax.jit(lambda a, b: a.to(a.mean).weighed(a.to(b.mean), KEYS))(model, proposal)
    np.testing.assert_allclose(x, proposal.sample(KEYS), atol=1e-12)
    np.testing.assert_allclose(log_ratio, model.log_prob(x) - proposal.log_prob(x), atol=1e-9)
    other, slow = Transition.weighed(model, proposal, KEYS)  # what a law of one's own has
    np.testing.assert_allclose(slow, log_ratio, atol=1e-9)
    np.testing.assert_allclose(other, x, atol=1e-12)


def test_laws_of_different_spread_are_weighed_by_both_densities(x64):
    model = GaussianTransition(jnp.zeros((3, 2)), jnp.asarray(0.5), sd.White())
    wide = model.to(jnp.ones((3, 2)), jnp.asarray(0.9))
    x, log_ratio = model.weighed(wide, KEYS)
    log_normal = lambda mean, std: np.sum(-0.5 * ((np.asarray(x) - mean) / std) ** 2 - np.log(std), 1)  # noqa: E731
    np.testing.assert_allclose(log_ratio, log_normal(0.0, 0.5) - log_normal(1.0, 0.9), atol=1e-9)


def test_the_law_of_a_step_is_what_the_solver_draws():
    mixture = sd.oracle.GaussianMixture([1.0], jnp.zeros((1, 2)), 0.7).denoiser(sd.GaussianProcess.vp())
    term, x = DenoiserTerm(mixture, None, KEYS), jnp.ones((3, 2))
    for name in ("ddpm", "ddim-eta", "flow-sde"):
        solver = sd.solvers.SOLVERS[name]()
        step = solver.transition(term, jnp.asarray(0.6), jnp.asarray(0.4), x, mixture(x, jnp.asarray(0.6)))
        np.testing.assert_array_equal(solver.advance(term, jnp.asarray(0.6), jnp.asarray(0.4), x, ())[0], step.sample(KEYS))


PRIOR = sd.oracle.GaussianMixture([1.0], jnp.zeros((1, 2)), 0.7)
OBSERVED = sd.lookahead.Observation(lambda x: x[:, :1], [0.4], 0.05)


@pytest.mark.parametrize("process", ["cosine", "rectified", "vp"])
def test_where_nothing_is_known_of_the_data_no_particle_is_preferred(process):
    """At alpha = 0 h = 1, even of a network that takes pure noise for a sign of something; its plug-in guess would be sharp there."""
    fooled = sd.FunctionDenoiser(lambda x, t, cond: 0.3 * x, getattr(sd.GaussianProcess, process)())
    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 2)), jnp.float32)
    for twist in (MomentMatched(OBSERVED), Tilted(OBSERVED)):
        seen, _ = eqx.filter_jit(look_at)(twist, fooled, x, jnp.asarray(1.0), None, jnp.asarray(0), ())
        unknown = float(fooled.process.alpha(1.0)) == 0.0
        assert (np.std(seen.log_h) == 0.0) == unknown
        if unknown:
            np.testing.assert_array_equal(seen.log_h, 0.0)
            np.testing.assert_array_equal(seen.steered, seen.x0_hat)


def test_the_opened_loop_walks_as_the_closed_one_and_weights_enter_and_leave():
    denoiser, steps, count, key = PRIOR.denoiser(sd.GaussianProcess.vp()), 8, 16, jax.random.key(3)
    whole = particles.smc(key, denoiser, OBSERVED, (2,), num_particles=count, steps=steps, twist="mmps")
    loop = Population(denoiser, MomentMatched(OBSERVED), sd.solvers.DDPM(), Resampling(systematic))
    times = np.asarray(whole.info["times"])
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(count))
    start = denoiser.process.noise.sample_batch(jax.vmap(jax.random.fold_in, (0, None))(keys, 0), jnp.zeros((count, 2)))
    start = start * denoiser.process.sigma(1.0)
    step = eqx.filter_jit(loop.step)

    def walk(state, indices):
        ancestors = []
        for i in indices:
            state, info = step(key, state, i, times[i], times[i + 1])
            ancestors.append(info["ancestors"])
        return state, ancestors

    state, first = walk(loop.init(start), range(steps // 2))
    # out and in again, with as much weight on everybody besides
    state, second = walk(loop.init(state.x, log_weights=state.log_weights + 2.0), range(steps // 2, steps))
    np.testing.assert_array_equal(np.stack(first + second), whole.info["ancestors"])
    np.testing.assert_allclose(state.x, whole.particles, atol=1e-5)
    np.testing.assert_allclose(loop.end(state, OBSERVED) - 2.0, whole.log_weights, atol=1e-4)


def test_the_condition_of_a_particle_goes_where_the_particle_goes():
    """Two laws, N(0, 1/2) around -1 and 1 by cond: resampling towards the right leaves conditions of the right alone."""

    def around(x, t, cond):
        return cond["mean"] + 0.5 * (x - cond["mean"])

    denoiser = sd.FunctionDenoiser(around, sd.GaussianProcess.rectified())
    cond = {"mean": jnp.tile(jnp.array([[-1.0], [1.0]]), (8, 1)), "for all": jnp.ones((1, 3))}
    loop = Population(denoiser, Unknowing(), sd.solvers.DDPM(), Resampling(systematic, 1.0))
    x = jnp.zeros((16, 1))
    weights = jnp.where(cond["mean"][:, 0] > 0, 0.0, -jnp.inf)
    state, info = loop.step(jax.random.key(0), loop.init(x, cond, weights), 0, jnp.asarray(0.9), jnp.asarray(0.8))
    np.testing.assert_array_equal(state.cond["mean"], 1.0)
    assert state.cond["for all"].shape == (1, 3) and (np.asarray(info["ancestors"]) % 2 == 1).all()
    # and its step was that of its condition: the mean of x_s is keep 0 + share 1/2
    mean = denoiser.process.step_kernel(jnp.full((16, 1), 0.5), x, 0.9, 0.8)[0]
    assert abs(float(state.x.mean() - mean.mean())) < 3 * 0.8 / 4
