import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from solvers.common import NAMES, process_of

import sciddm as sd
from sciddm.traces import TRACES, draw_probes

KEY = jax.random.key(0)
ROWS = 64  # two components in four dimensions, so many points, and a process that is data: one program serves many tests


@pytest.fixture
def four():
    """A mixture in four dimensions, one component narrow."""
    return sd.oracle.GaussianMixture([0.3, 0.7], [[-1.0, 0.0, 1.0, 0.5], [2.0, 1.0, -1.0, -0.5]], [0.3, 0.02])


@pytest.fixture(scope="module")
def points():
    """Draws of `four`."""
    rng = np.random.default_rng(1)
    second = rng.random((1000, 1)) < 0.7
    means = np.where(second, [2.0, 1.0, -1.0, -0.5], [-1.0, 0.0, 1.0, 0.5])
    return (means + np.where(second, 0.02, 0.3) ** 0.5 * rng.normal(size=(1000, 4))).astype(np.float32)


def gaussian(mean, covariance):
    """One Gaussian as a mixture of two, so that it has the program of `four`."""
    return sd.oracle.GaussianMixture([0.5, 0.5], [mean, mean], np.stack([covariance, covariance]))


def on_tree(exact):
    """The same denoiser for {"a": (B, 1), "b": {"c": (B, d - 1)}}."""

    def function(x_t, t, cond):
        joined = exact(jnp.concatenate([x_t["a"], x_t["b"]["c"]], 1), t)
        return as_tree(joined)

    return sd.FunctionDenoiser(function, exact.process)


def as_tree(x):
    return {"a": x[:, :1], "b": {"c": x[:, 1:]}}


def linear(matrix, process):
    """x0_hat = x_t matrix^T: any Jacobian at all."""
    return sd.FunctionDenoiser(lambda x, t, c: x @ jnp.asarray(matrix, x.dtype).T, process)


def test_the_exact_trace_gives_the_density_of_a_mixture_on_every_process(four, points):
    x = points[:ROWS]
    for name in NAMES:
        log_p = sd.log_prob(KEY, four.denoiser(process_of(name)), x)
        np.testing.assert_allclose(log_p, four.log_prob(x), atol=5e-3, err_msg=name)


def test_sharp_data_keep_their_density_though_the_flow_stops_short_of_them():
    # The flow is solved to sigma/alpha = e^-6, an eighth of this std: left out, what lies between costs 0.05 nats.
    mean = np.array([0.5, -0.2, 0.1, 0.0])
    sharp = gaussian(mean, np.full(4, 4e-4))
    x = (mean + 0.02 * np.random.default_rng(1).normal(size=(ROWS, 4))).astype(np.float32)
    log_p = sd.log_prob(KEY, sharp.denoiser(process_of("vp")), x)
    np.testing.assert_allclose(log_p, sharp.log_prob(x), atol=5e-3)


@pytest.mark.parametrize("name", ["edm", pytest.param("rectified", marks=pytest.mark.slow)])
def test_decode_inverts_encode_and_the_code_is_what_sample_starts_from(name, four, points):
    denoiser, x = four.denoiser(process_of(name)), points[:ROWS]
    code = sd.encode(denoiser, x)
    assert float(jnp.std(code / denoiser.process.sigma(1.0))) == pytest.approx(1.0, abs=0.2)
    np.testing.assert_allclose(sd.decode(denoiser, code), x, atol=1e-3)
    sampled, _ = sd.sample(KEY, denoiser, x.shape, start=code, solver="heun", steps=400)
    np.testing.assert_allclose(sampled, x, atol=2e-2)


def test_a_nested_tree_has_the_density_of_its_array(four, points):
    exact, x = four.denoiser(process_of("cosine")), points[:ROWS]
    log_p = sd.log_prob(KEY, on_tree(exact), as_tree(x[:16]))
    np.testing.assert_allclose(log_p, sd.log_prob(KEY, exact, x)[:16], atol=1e-4)
    code = sd.encode(on_tree(exact), as_tree(x[:16]))
    np.testing.assert_allclose(code["b"]["c"], sd.encode(exact, x)[:16, 1:], atol=1e-4)


def estimated(trace, denoiser, x, key=KEY):
    """log_prob by an estimated trace of 1000 points, one program of each."""
    log_p, info = sd.log_prob(key, denoiser, x, trace=trace, probes=3, rtol=1e-4, atol=1e-4, return_info=True)
    return np.asarray(log_p), np.asarray(info["network_calls"])


def exactly(trace, denoiser, x, key=KEY):
    log_p, info = sd.log_prob(key, denoiser, x, trace=trace, return_info=True)
    return np.asarray(log_p), np.asarray(info["network_calls"])


@pytest.mark.parametrize("trace", ["exact", "hutch++", pytest.param("hutchinson", marks=pytest.mark.slow)])
def test_the_density_of_a_sample_depends_on_its_index_and_not_on_the_batch(trace, four, points):
    denoiser, ask = four.denoiser(process_of("vp")), exactly if trace == "exact" else estimated
    x = points[:ROWS] if trace == "exact" else points
    many, calls = ask(trace, denoiser, x)
    assert len(set(calls.tolist())) > 1, "each sample has steps of its own"
    # The last two in front with the keys of their indices, and other neighbours.
    count = len(x)
    keys = jax.vmap(lambda i: jax.random.fold_in(KEY, i))(np.r_[count - 2, count - 1, : count - 2])
    few, fewer = ask(trace, denoiser, np.concatenate([x[-2:], x[: count - 2] + 0.1]), keys)
    np.testing.assert_allclose(many[-2:], few[:2], atol=2e-3)
    np.testing.assert_array_equal(calls[-2:], fewer[:2])


def test_evaluations_are_counted_as_they_happen(four, points):
    counted, exact = [], four.denoiser(sd.GaussianProcess.vp())

    def function(x_t, t, cond):
        jax.debug.callback(lambda: counted.append(1))
        return exact(x_t, t)

    x = points[:1]
    denoiser = sd.FunctionDenoiser(function, exact.process)
    _, info = sd.log_prob(KEY, denoiser, x, trace="hutchinson", probes=1, return_info=True)
    jax.effects_barrier()
    assert len(counted) == info["network_calls"][0]
    assert info["backward_passes"][0] == info["network_calls"][0] - 2


def test_a_second_call_compiles_nothing(four, points):
    exact, traces = four.denoiser(sd.GaussianProcess.vp()), []

    def function(x_t, t, cond):
        traces.append(1)
        return exact(x_t, t)

    denoiser, x = sd.FunctionDenoiser(function, exact.process), points[:3]
    for seed, scale in ((0, 1.5), (1, 2.5), (2, 3.5)):
        sd.log_prob(jax.random.key(seed), sd.guidance.classifier_free(denoiser, scale), x * scale)
        if seed == 0:
            first = len(traces)
    assert len(traces) == first


def test_every_sample_meets_what_is_given_one_a_sample():
    # Prior N(0, 1), observed with noise 1: the posterior is N(y/2, 1/2), another one for each sample.
    x, y = jnp.array([[0.3], [-0.4], [1.0]]), jnp.array([[0.5], [-2.0], [3.0]])
    exact = -((x - y / 2) ** 2)[:, 0] - 0.5 * jnp.log(jnp.pi)
    process = sd.GaussianProcess.vp()

    def posterior(x_t, t, y):
        alpha, sigma = (jnp.broadcast_to(v, (3,))[:, None] for v in (process.alpha(t), process.sigma(t)))
        return (sigma**2 * y + alpha * x_t) / (2 * sigma**2 + alpha**2)

    # half of y is observed, half is the denoiser's own
    denoiser = sd.FunctionDenoiser(lambda x_t, t, cond: posterior(x_t, t, 0.5 * y + cond["half"]), process)
    np.testing.assert_allclose(sd.log_prob(KEY, denoiser, x, cond={"half": 0.5 * y}), exact, atol=5e-3)


def test_signs_take_the_trace_of_a_diagonal_jacobian_exactly():
    mean, variances = np.array([0.5, -0.2, 0.0, 1.0]), np.array([0.1, 1.0, 2.0, 0.5])
    diagonal = gaussian(mean, variances)
    x = (mean + variances**0.5 * np.random.default_rng(0).normal(size=(1000, 4))).astype(np.float32)
    log_p, _ = estimated("hutchinson", diagonal.denoiser(process_of("vp")), x)
    # the flow itself, at these tolerances, errs by 7e-3 once in a thousand points
    assert np.quantile(np.abs(log_p - diagonal.log_prob(x)), 0.99) < 5e-3


@pytest.mark.parametrize("trace", ["hutchinson", "hutch++"])
def test_the_estimated_density_is_right_on_average(trace, four):
    # 1000 copies of one point: all that differs is the probes
    x = np.tile(np.array([[0.9, 0.6, -0.3, 0.0]], np.float32), (1000, 1))
    log_p, _ = estimated(trace, four.denoiser(process_of("vp")), x)
    assert log_p.std() > 1e-2, "a spread, or there is nothing to average"
    assert abs(log_p.mean() - four.log_prob(x)[0]) < 3 * log_p.std() / 1000**0.5 + 2e-3


def everything(v):
    return v


@functools.partial(jax.jit, static_argnums=(0, 2, 3, 4))
def estimates(trace, matrix, probes, project=everything, count=2000):
    x = jnp.zeros((count, matrix.shape[0]))
    draws = draw_probes(jax.random.split(KEY, count), TRACES[trace].draws(probes), project, x)
    dim = jnp.full(count, jnp.round(jnp.trace(project(jnp.eye(matrix.shape[0])))), x.dtype)
    return TRACES[trace].estimate(lambda v: v @ matrix, project, dim, x, draws)


def test_estimators_are_unbiased_for_a_jacobian_without_symmetry_and_exact_is_exact():
    matrix = np.random.default_rng(0).normal(size=(20, 20)).astype(np.float32)
    np.testing.assert_allclose(estimates("exact", matrix, 0, everything, 2), np.trace(matrix), rtol=1e-5)
    for trace in ("hutchinson", "hutch++"):
        values = np.asarray(estimates(trace, matrix, 9))
        assert abs(values.mean() - np.trace(matrix)) < 3 * values.std() / len(values) ** 0.5


def test_hutch_plus_plus_has_less_variance_at_the_same_cost_where_few_directions_matter():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(30, 30)))[0]
    matrix = np.asarray(basis * (10.0 * 0.5 ** np.arange(30)) @ basis.T, np.float32)
    plain, better = (np.asarray(estimates(trace, matrix, 12)) for trace in ("hutchinson", "hutch++"))
    assert TRACES["hutch++"].passes(30, 12) == TRACES["hutchinson"].passes(30, 12) == 12
    assert better.std() < 0.4 * plain.std()  # 1/16 of the trace lies off the four directions


CENTRING = np.eye(6, dtype=np.float32) - 1 / 6


def centred(v):
    return v @ CENTRING


def test_the_trace_is_that_of_the_support():
    matrix = np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32)
    truth = np.trace(CENTRING @ matrix @ CENTRING)
    np.testing.assert_allclose(estimates("exact", matrix, 0, centred, 2), truth, rtol=1e-4)
    for trace in ("hutchinson", "hutch++"):
        values = np.asarray(estimates(trace, matrix, 6, centred))
        assert abs(values.mean() - truth) < 3 * values.std() / len(values) ** 0.5


def test_centred_points_have_their_density_on_centred_points():
    # n = 4 points in 3 dimensions, x_0 ~ N(0, P) scaled by 0.5 on the 9 dimensions that are left
    process = sd.GaussianProcess.cosine(noise=sd.ZeroCentreOfMass())
    gaussian = sd.FunctionDenoiser(lambda x_t, t, c: wiener(process, x_t, t, 0.25), process)
    x = 0.5 * process.noise.sample_batch(jax.random.split(KEY, 6), jnp.zeros((6, 4, 3)))
    exact = jnp.sum(-0.5 * (x / 0.5) ** 2, (1, 2)) - 9 * (0.5 * jnp.log(2 * jnp.pi) + jnp.log(0.5))
    np.testing.assert_allclose(sd.log_prob(KEY, gaussian, x), exact, atol=5e-3)
    # |P r|^2 of 12 signs is 9 +- sqrt(4.5), and meets the flow's log 2 a dimension: four standard errors of 25 probes
    log_p = sd.log_prob(KEY, gaussian, x, trace="hutchinson", probes=25)
    np.testing.assert_allclose(log_p, exact, atol=4 * jnp.log(2.0) * (4.5 / 25) ** 0.5)
    np.testing.assert_allclose(sd.encode(gaussian, x).mean(1), 0.0, atol=1e-5)


def test_padding_counts_for_nothing_whatever_the_network_says_of_it():
    mask = jnp.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])  # one a sample
    process = sd.GaussianProcess.vp(noise=sd.Masked(mask))
    denoiser = sd.FunctionDenoiser(lambda x_t, t, c: wiener(process, x_t, t, 0.25) + 7.0 * (mask == 0), process)
    x = jnp.array([[0.3, -0.4, 0.0], [0.1, 0.0, 0.0]])
    exact = jnp.sum(-0.5 * (x / 0.5) ** 2, 1) - mask.sum(1) * (0.5 * jnp.log(2 * jnp.pi) + jnp.log(0.5))
    np.testing.assert_allclose(sd.log_prob(KEY, denoiser, x), exact, atol=5e-3)


def test_a_field_with_coloured_noise_has_the_density_of_its_law():
    noise = sd.SpectralField.power_law((6,), 2.0, 1.5)
    process = sd.GaussianProcess.vp(noise=noise)
    # x_0 ~ N(0, v Sigma): the gain is that of white data with variance v
    denoiser = sd.FunctionDenoiser(lambda x_t, t, c: wiener(process, x_t, t, 0.25), process)
    x = 0.5 * noise.sample_batch(jax.random.split(KEY, 5), jnp.zeros((5, 6, 1)))
    np.testing.assert_allclose(
        sd.log_prob(KEY, denoiser, x), noise.each("log_prob", x / 0.5) - 6 * jnp.log(0.5), atol=5e-3
    )


def wiener(process, x_t, t, variance):
    """E[x_0 | x_t] where x_0 is noise of this variance."""
    alpha, sigma = (
        jnp.expand_dims(v, tuple(range(jnp.ndim(v), x_t.ndim))) for v in (process.alpha(t), process.sigma(t))
    )
    return alpha * variance / (alpha**2 * variance + sigma**2) * x_t


def test_log_prob_has_the_gradient_of_the_density(four, points):
    denoiser, x = four.denoiser(sd.GaussianProcess.vp()), points[:2]
    slope = jax.grad(lambda x: sd.log_prob(KEY, denoiser, x, rtol=1e-4, atol=1e-4).sum())(x)
    np.testing.assert_allclose(slope, four.score(x), rtol=2e-2, atol=5e-2)


def test_an_unknown_trace_and_too_few_probes_are_named(four):
    denoiser = four.denoiser(sd.GaussianProcess.vp())
    with pytest.raises(ValueError, match="hutch.*none of"):
        sd.log_prob(KEY, denoiser, jnp.zeros((1, 4)), trace="hutch")
    with pytest.raises(ValueError, match="needs at least 3"):
        sd.log_prob(KEY, denoiser, jnp.zeros((1, 4)), trace="hutch++", probes=2)
