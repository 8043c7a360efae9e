"""Nothing that a guide does besides shifting x0_hat is dropped in silence: it is applied, or refused."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm import lookahead, particles
from sciddm.answer import Answer, Kick
from sciddm.denoiser import SamplingDefaults
from sciddm.errors import Refusal

SHAPE, KEY = (4, 2), jax.random.key(0)
A, Y = jnp.array([[1.0, 0.0]]), jnp.array([1.5])
OBSERVED = lookahead.Observation(lambda x: x[:, :1], Y, 0.2)  # of a view too
LINE = lookahead.constraints.Linear(A, Y)


def shrink(x_t, t, cond):
    return 0.6 * x_t


def reward(x_0, t):
    return x_0[:, 0] - 0.1 * x_0[:, 1] ** 2


PLAIN = sd.FunctionDenoiser(shrink, sd.GaussianProcess.vp())


class Push(sd.Guide):
    """A guide of one's own that says nothing of itself: it moves every x_s by the same."""

    def evaluate(self, x_t, t, cond=None):
        return self.denoiser.evaluate(x_t, t, cond).kicked(Kick(of_x_s=jnp.full_like(x_t, 0.1)))


class Shift(sd.Correction):
    """Every x_s a little further."""

    def __call__(self, term, s, x_s):
        return x_s + 0.1, {}


class Shifted(sd.Guide):
    """A guide that does nothing but bring a correction."""

    def defaults(self):
        return SamplingDefaults(corrections=(Shift(),))

    def evaluate(self, x_t, t, cond=None):
        return self.denoiser.evaluate(x_t, t, cond)


KICKS = {
    "dps": lambda d: lookahead.dps(d, OBSERVED, scale=0.1),
    "tfg": lambda d: lookahead.tfg(d, OBSERVED, rho=0.1, mu=0.1, iterations=1, samples=1),
    "flowdps": lambda d: lookahead.flowdps(d, OBSERVED, steps=1),
    "flowchef": lambda d: lookahead.flowchef(d, OBSERVED, scale=0.1),
    "own": Push,
}
CORRECTED = {
    "repaint": lambda d: lookahead.repaint(d, OBSERVED, jump=1, repeats=1),
    "constrain": lambda d: lookahead.constrain(d, LINE),
    "own correction": Shifted,
}
SAMPLERS = {
    "ddrm": lambda d: lookahead.ddrm(d, OBSERVED),
    "reddiff": lambda d: lookahead.reddiff(d, OBSERVED),
    "dflow": lambda d: lookahead.dflow(d, OBSERVED, ode_steps=2, iterations=1),
}
GUIDES = KICKS | CORRECTED | SAMPLERS


def population(name, **options):
    def draw(denoiser):
        return getattr(particles, name)(KEY, denoiser, reward, SHAPE[1:], **options).particles

    return draw


def corrected(make):
    return lambda denoiser: particles.feynman_kac(KEY, make(denoiser), SHAPE[1:], num_particles=4, steps=3).particles


X = np.array([[0.3, -0.2], [1.0, 0.4], [-0.6, 0.1], [0.2, 0.9]], np.float32)
few = {"num_particles": 4, "steps": 3}
METHODS = {
    "best_of_n": population("best_of_n", num_particles=4, steps=3, grid="t"),
    "svdd": population("svdd", **few),
    "fk_steering": population("fk_steering", **few),
    "rollover_budget": population("rollover_budget", budget=12, steps=3),
    "search_over_paths": population("search_over_paths", copies=2, steps=4, forth=2, back=1),
    "smc": population("smc", **few),
    "tds": population("tds", **few),
    "das": population("das", **few),
    "psi": population("psi", **few, chains=2, burn_in=1, moves=2),
    "reward_langevin": population("reward_langevin", num_particles=2, moves=2, burn_in=1),
    "mcgdiff": lambda d: particles.mcgdiff(KEY, d, OBSERVED, SHAPE[1:], num_particles=4, steps=4).particles,
    "anneal": corrected(lambda d: particles.anneal(d, 2.0)),
    "product": corrected(lambda d: particles.product(PLAIN, d)),
    "tilt": corrected(lambda d: particles.tilt(d, reward)),
    "log_prob": lambda d: sd.log_prob(KEY, d, X),
    "encode": lambda d: sd.encode(d, X),
    "decode": lambda d: sd.decode(d, X),
    "rollout": lambda d: sd.rollout(KEY, d, SHAPE, cond=None, advance=lambda x: None, windows=2, steps=3, grid="t")[0],
    "the denoiser itself": lambda d: d(X, jnp.asarray(0.5)),
    "denoise_with_vjp": lambda d: sd.denoise_with_vjp(d, X, jnp.asarray(0.5))[0],
    "tsit5": lambda d: sd.sample(KEY, d, SHAPE, solver="tsit5", steps=2)[0],
    "euler-maruyama": lambda d: sd.sample(KEY, d, SHAPE, solver="euler-maruyama", steps=3)[0],
    "diffrax": lambda d: sd.sample(KEY, d, SHAPE, solver=diffrax.Heun(), steps=3)[0],
    "match_snr": lambda d: sd.sample(KEY, sd.match_snr(d, sd.GaussianProcess.cosine()), SHAPE, steps=3)[0],
    "interpolant": lambda d: sd.sample(KEY, sd.Interpolant.linear(noise=0.5).wrap(d, X), SHAPE, steps=3)[0],
    "unconditional branch": lambda d: sd.sample(
        KEY, sd.guidance.classifier_free(PLAIN, 2.0, unconditional=d), SHAPE, solver="ddpm", steps=3, grid="t")[0],
    "bethe": lambda d: sd.sample(
        KEY, lookahead.synchronize(d, lookahead.windows(3, window=2, stride=1), strategy="bethe"), (4, 3), steps=3)[0],
    "steer, depth 1": lambda d: sd.sample(KEY, lookahead.steer(d, reward, depth=1), SHAPE, solver="ddpm", steps=3, grid="t")[0],
}  # fmt: skip


@pytest.fixture(scope="module")
def unguided():
    made = {}

    def get(name):
        if name not in made:
            made[name] = METHODS[name](PLAIN)
        return made[name]

    return get


@pytest.mark.parametrize("method", METHODS)
def test_a_guide_that_kicks_corrects_or_samples_changes_what_comes_out_or_is_refused(method, unguided):
    for name, guide in GUIDES.items():
        try:
            guided = METHODS[method](guide(PLAIN))
        except Refusal as refusal:
            assert len(str(refusal)) > 20 and "\n" not in str(refusal), name
            continue
        assert np.isfinite(guided).all(), name
        if method in ("the denoiser itself", "denoise_with_vjp") and name not in KICKS | {"constrain": None}:
            continue  # x0_hat is the model's there, and the rest is a matter of sampling
        assert np.abs(np.asarray(guided) - np.asarray(unguided(method))).max() > 1e-3, name


@pytest.mark.parametrize("method", ["search_over_paths", "rollover_budget", "best_of_n", "rollout"])
def test_a_constraint_that_a_guide_brings_holds_at_the_end_of_a_search(method):
    found = METHODS[method](lookahead.constrain(PLAIN, LINE))
    np.testing.assert_allclose(np.asarray(found) @ np.asarray(A).T, float(Y[0]), atol=1e-5)


def test_a_kick_moves_every_step_by_as_much_as_it_says():
    hold = sd.FunctionDenoiser(lambda x, t, cond: x, sd.GaussianProcess.ve())  # x0_hat = x_t: no step of one look moves x
    start = jnp.zeros((2, 2))
    for solver in ("ddim", "heun", "dpmpp2s"):
        moved, info = sd.sample(KEY, Push(hold), (2, 2), solver=solver, steps=3, start=start)
        np.testing.assert_allclose(moved, 0.3, atol=1e-6, err_msg=solver)
        assert info["guidance_norm"].shape == (3, 2)


def test_kicks_of_both_branches_of_guidance_are_combined_as_their_predictions_are():
    class Half(sd.Guide):
        def evaluate(self, x_t, t, cond=None):
            answer = self.denoiser.evaluate(x_t, t, cond)
            return answer.kicked(Kick(of_x_0=jnp.full_like(x_t, 1.0 if cond is None else 3.0)))

    answer = sd.guidance.classifier_free(Half(PLAIN), 2.0).evaluate(jnp.asarray(X), jnp.asarray(0.5), "a condition")
    np.testing.assert_allclose(answer.kick.of_x_0, 3.0 + (3.0 - 1.0), rtol=1e-6)
    away = sd.guidance.negative(Half(PLAIN), {"nothing": None}, 2.0).evaluate(jnp.asarray(X), jnp.asarray(0.5), "a condition")
    np.testing.assert_allclose(away.kick.of_x_0, 3.0 + (3.0 - 1.0), rtol=1e-6)


def test_an_answer_keeps_its_kick_and_its_report_through_guides_around_it():
    kicked = Answer(X, {"inner": X[:, 0]}).kicked(Kick(of_x_t=jnp.ones(SHAPE)), {"mine": X[:, 1]})
    around = kicked.to(2.0 * X, {"outer": X[:, 0]}).kicked(Kick(of_x_t=jnp.ones(SHAPE), of_x_s=jnp.ones(SHAPE)))
    assert set(around.report) == {"inner", "mine", "outer"}
    np.testing.assert_allclose(around.kick.of_x_t, 2.0)
    np.testing.assert_allclose(around.kick.of_x_s, 1.0)
    assert around.kick.of_x_0 is None


def test_corrections_of_one_view_are_refused_on_the_whole():
    views = lookahead.windows(3, window=2, stride=1)
    for name in (*CORRECTED, *SAMPLERS):
        with pytest.raises(Refusal, match="of one view"):
            lookahead.synchronize(GUIDES[name](PLAIN), views)
