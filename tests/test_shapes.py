"""The axes of what the core's public functions return. All lengths differ, so an axis in the place of another shows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Float, Int, jaxtyped

import sciddm as sd
from sciddm import lookahead, particles

SIZES = {"batch": 4, "dim": 3, "seen": 2, "steps": 5, "windows": 9, "particles": 7, "components": 8}
BATCH, DIM, SEEN, STEPS, WINDOWS, PARTICLES, COMPONENTS = SIZES.values()
ALL = np.broadcast_to(np.float32(0), tuple(SIZES.values()))

Array = jax.ShapeDtypeStruct
Scalar, PerSample, Samples = Float[Array, ""], Float[Array, "batch"], Float[Array, "batch dim"]
Seen, One, Square = Float[Array, "batch seen"], Float[Array, "dim"], Float[Array, "dim dim"]

KEY = jax.random.key(0)
PROCESS = sd.GaussianProcess.cosine()
MIXTURE = sd.oracle.GaussianMixture(np.ones(COMPONENTS), np.arange(COMPONENTS * DIM).reshape(COMPONENTS, DIM) % 5, 0.2)
DENOISER = MIXTURE.denoiser(PROCESS)
NETWORK = sd.NetworkDenoiser(lambda x, level, cond: jnp.tanh(x), PROCESS)
OBSERVED = lookahead.Observation(jnp.arange(SEEN * DIM, dtype=jnp.float32).reshape(SEEN, DIM), jnp.ones(SEEN), 0.5)
MMPS = lookahead.mmps(DENOISER, OBSERVED, iterations=2)
X = jax.random.normal(jax.random.key(1), (BATCH, DIM))
T = {"one time": jnp.float32(0.5), "a time each": jnp.linspace(0.3, 0.9, BATCH)}


def fits(axes, function, *arguments) -> bool:
    """Whether what a function returns, or each of a tuple of it, has these axes, a name standing for the same length in all of them.

    The function is traced and not run, so nothing is compiled.
    """
    found = jax.eval_shape(function, *arguments)
    values, expected = (found, axes) if isinstance(axes, tuple) else ((found,), (axes,))
    with jaxtyped("context"):
        assert isinstance(ALL, Float[np.ndarray, " ".join(SIZES)])  # binds every name
        return len(values) == len(expected) and all(isinstance(v, a) for v, a in zip(values, expected, strict=True))


def drawn(denoiser=DENOISER, shape=(BATCH, DIM), **options):
    return sd.sample(KEY, denoiser, shape, solver="ddim", steps=STEPS, **options)


def path_of_samples():
    samples, info = drawn(return_path=True)
    return samples, info["path"], info["times"]


def guided_samples():
    samples, info = drawn(MMPS)
    return samples, info["residual"]


def samples_of_a_pytree():
    both = sd.FunctionDenoiser(lambda x_t, t, cond: jax.tree.map(jnp.tanh, x_t), PROCESS)
    samples, _ = drawn(both, {"a": (BATCH, DIM), "b": (BATCH, SEEN)})
    return samples["a"], samples["b"]


def windows():
    options = {"windows": WINDOWS, "solver": "ddim", "steps": 1}
    return sd.rollout(KEY, DENOISER, (BATCH, DIM), cond=X, advance=lambda x: x, **options)[0]


def denoised_with_vjp(t):
    x0_hat, vjp = sd.denoise_with_vjp(DENOISER, X, t)
    return x0_hat, vjp(x0_hat)


def linearized_observation():
    prediction, adjoint = OBSERVED.linearize(X)
    return prediction, adjoint(prediction), OBSERVED.forward(X)(X)


def population():
    made = particles.smc(KEY, DENOISER, OBSERVED, (DIM,), num_particles=PARTICLES, steps=STEPS)
    summaries = made.log_evidence, made.ess, made.info["ess"], made.info["ancestors"]
    return made.particles, made.log_weights, *summaries, made.mean(), made.draw(KEY), made.best(), made.resampled(KEY)


POPULATION = (
    Float[Array, "particles dim"], Float[Array, "particles"],
    Scalar, Scalar, Float[Array, "steps"], Int[Array, "steps particles"], One, One, One, Float[Array, "particles dim"],
)  # fmt: skip

# Functions of a time: one time gives one value, a time a sample gives a value a sample.
OF_TIME = {
    "process.alpha": PROCESS.alpha,
    "process.sigma": PROCESS.sigma,
    "process.log_snr": PROCESS.log_snr,
    "process.time of log_snr": lambda t: PROCESS.time(PROCESS.log_snr(t)),
    "process.drift": PROCESS.drift,
    "process.diffusion2": PROCESS.diffusion2,
    "std of process.step_kernel": lambda t: PROCESS.step_kernel(X, X, t, 0.5 * t)[1],
}
# Functions of samples at a time: like the samples, at one time and at a time a sample.
OF_SAMPLES = {
    "process.perturb": (lambda t: PROCESS.perturb(KEY, X, t), (Samples, Samples)),
    "mean of process.step_kernel": (lambda t: PROCESS.step_kernel(X, X, t, 0.5 * t)[0], Samples),
    "denoiser": (lambda t: DENOISER(X, t), Samples),
    "denoiser.score": (lambda t: DENOISER.score(X, t), Samples),
    "denoiser.eps": (lambda t: DENOISER.eps(X, t), Samples),
    "denoiser.velocity": (lambda t: DENOISER.velocity(X, t), Samples),
    "denoise_with_vjp": (denoised_with_vjp, (Samples, Samples)),
    "network denoiser": (lambda t: NETWORK(X, t), Samples),
    "guidance.classifier_free": (lambda t: sd.guidance.classifier_free(DENOISER, 2.0, rescale=0.5)(X, t), Samples),
    "lookahead.mmps": (lambda t: MMPS(X, t), Samples),
}
OTHERS = {
    "sample": (path_of_samples, (Samples, Float[Array, "steps+1 batch dim"], Float[Array, "steps+1"])),
    "sample of a guide": (guided_samples, (Samples, Float[Array, "steps batch"])),
    "sample of a pytree": (samples_of_a_pytree, (Samples, Seen)),
    "rollout": (windows, Float[Array, "batch windows dim"]),
    "log_prob": (lambda: sd.log_prob(KEY, DENOISER, X, trace="hutchinson", probes=1), PerSample),
    "encode": (lambda: sd.encode(DENOISER, X), Samples),
    "decode": (lambda: sd.decode(DENOISER, X), Samples),
    "Objective": (lambda: sd.Objective()(NETWORK, KEY, X), PerSample),
    "Objective.sample_times": (lambda: sd.Objective().sample_times(KEY, BATCH, PROCESS), PerSample),
    "Observation": (lambda: (OBSERVED(X, 0.5), OBSERVED.log_likelihood(X)), (PerSample, PerSample)),
    "Observation.residual": (lambda: OBSERVED.residual(X), Seen),
    "Observation.simulate": (lambda: OBSERVED.simulate(KEY, X), Seen),
    "Observation.linearize and forward": (linearized_observation, (Seen, Samples, Seen)),
    "particles.smc": (population, POPULATION),
    "oracle": (
        lambda: (MIXTURE.log_prob(X), MIXTURE.score(X), MIXTURE.sample(KEY, BATCH)),
        (PerSample, Samples, Samples),
    ),
    "oracle's moments": (
        lambda: (MIXTURE.mean, MIXTURE.covariance, MIXTURE.covariances),
        (One, Square, Float[Array, "components dim dim"]),
    ),
}


@pytest.mark.parametrize("name", OF_TIME)
def test_functions_of_time_have_the_axes_of_the_time(name):
    for time, axes in (("one time", Scalar), ("a time each", PerSample)):
        assert fits(axes, OF_TIME[name], T[time]), time


@pytest.mark.parametrize("name", OF_SAMPLES)
def test_functions_of_samples_have_the_axes_of_the_samples_at_one_time_and_at_a_time_each(name):
    function, axes = OF_SAMPLES[name]
    for time, t in T.items():
        assert fits(axes, function, t), time


@pytest.mark.parametrize("name", OTHERS)
def test_public_functions_return_the_axes_that_they_promise(name):
    function, axes = OTHERS[name]
    assert fits(axes, function)


def test_another_order_another_length_another_type_and_another_number_of_values_do_not_fit():
    assert fits(Samples, lambda: X) and fits((Samples, PerSample), lambda: (X, X[:, 0]))
    for wrong in (X.T, X[:2], X[:, :2], X[None], X.astype(int)):
        assert not fits(Samples, lambda value=wrong: value)
    assert not fits((Samples, Samples), lambda: (X, X, X)) and not fits((Samples, PerSample), lambda: (X, X[0]))
