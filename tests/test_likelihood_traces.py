import jax
import jax.numpy as jnp
import numpy as np
import pytest
from solvers.common import NAMES, process_of
from test_process import PROCESSES

import sciddm as sd
from sciddm.traces import TRACES, draw_probes

KEY = jax.random.key(0)


@pytest.fixture
def four():
    """A mixture in four dimensions, one component narrow."""
    return sd.oracle.GaussianMixture([0.3, 0.7], [[-1.0, 0.0, 1.0, 0.5], [2.0, 1.0, -1.0, -0.5]], [0.3, 0.02])


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


def test_the_exact_trace_gives_the_density_of_a_mixture_on_every_process(four):
    x = four.sample(jax.random.key(1), 64)
    for name in NAMES:
        log_p = sd.log_prob(KEY, four.denoiser(process_of(name)), x)
        np.testing.assert_allclose(log_p, four.log_prob(x), atol=5e-3, err_msg=name)


def test_sharp_data_keep_their_density_though_the_flow_stops_short_of_them():
    # The flow is solved to sigma/alpha = e^-6, an eighth of this std: left out, what lies between costs 0.05 nats.
    sharp = sd.oracle.GaussianMixture([1.0], [[0.5, -0.2, 0.1, 0.0]], 4e-4)
    x = sharp.sample(jax.random.key(1), 64)
    log_p = sd.log_prob(KEY, sharp.denoiser(sd.GaussianProcess.vp()), x)
    np.testing.assert_allclose(log_p, sharp.log_prob(x), atol=5e-3)


@pytest.mark.parametrize("name", ["edm", "rectified"])
def test_decode_inverts_encode_and_the_code_is_what_sample_starts_from(name, four):
    denoiser, x = four.denoiser(PROCESSES[name]()), four.sample(jax.random.key(1), 32)
    code = sd.encode(denoiser, x)
    assert float(jnp.std(code / denoiser.process.sigma(1.0))) == pytest.approx(1.0, abs=0.2)
    np.testing.assert_allclose(sd.decode(denoiser, code), x, atol=1e-3)
    sampled, _ = sd.sample(KEY, denoiser, x.shape, start=code, solver="heun", steps=400)
    np.testing.assert_allclose(sampled, x, atol=2e-2)


def test_a_nested_tree_has_the_density_of_its_array(four):
    exact, x = four.denoiser(sd.GaussianProcess.cosine()), four.sample(jax.random.key(1), 4)
    log_p = sd.log_prob(KEY, on_tree(exact), as_tree(x))
    np.testing.assert_allclose(log_p, sd.log_prob(KEY, exact, x), atol=1e-4)
    code = sd.encode(on_tree(exact), as_tree(x))
    np.testing.assert_allclose(code["b"]["c"], sd.encode(exact, x)[:, 1:], atol=1e-4)


@pytest.mark.parametrize("trace", TRACES)
def test_the_density_of_a_sample_depends_on_its_index_and_not_on_the_batch(trace, four):
    denoiser, x = four.denoiser(sd.GaussianProcess.vp()), four.sample(jax.random.key(1), 9)
    many, info = sd.log_prob(KEY, denoiser, x, trace=trace, return_info=True)
    few, fewer = sd.log_prob(KEY, denoiser, x[:2], trace=trace, return_info=True)
    np.testing.assert_allclose(many[:2], few, atol=2e-3)
    np.testing.assert_array_equal(info["network_calls"][:2], fewer["network_calls"])
    assert len(set(info["network_calls"].tolist())) > 1, "each sample has steps of its own"


def test_evaluations_are_counted_as_they_happen(four):
    counted, exact = [], four.denoiser(sd.GaussianProcess.vp())

    def function(x_t, t, cond):
        jax.debug.callback(lambda: counted.append(1))
        return exact(x_t, t)

    x = four.sample(jax.random.key(1), 1)
    denoiser = sd.FunctionDenoiser(function, exact.process)
    _, info = sd.log_prob(KEY, denoiser, x, trace="hutchinson", probes=1, return_info=True)
    jax.effects_barrier()
    assert len(counted) == info["network_calls"][0]
    assert info["backward_passes"][0] == info["network_calls"][0] - 2


def test_a_second_call_compiles_nothing(four):
    exact, traces = four.denoiser(sd.GaussianProcess.vp()), []

    def function(x_t, t, cond):
        traces.append(1)
        return exact(x_t, t)

    denoiser, x = sd.FunctionDenoiser(function, exact.process), four.sample(jax.random.key(1), 3)
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

    told = sd.FunctionDenoiser(lambda x_t, t, cond: posterior(x_t, t, cond["y"]), process)
    knows = sd.FunctionDenoiser(lambda x_t, t, cond: posterior(x_t, t, y), process)
    for denoiser, cond in ((told, {"y": y}), (knows, None)):
        np.testing.assert_allclose(sd.log_prob(KEY, denoiser, x, cond=cond), exact, atol=5e-3)


def test_signs_take_the_trace_of_a_diagonal_jacobian_exactly():
    gaussian = sd.oracle.GaussianMixture([1.0], [[0.5, -0.2, 0.0]], [0.1, 1.0, 2.0])
    x = gaussian.sample(KEY, 8)
    log_p = sd.log_prob(KEY, gaussian.denoiser(sd.GaussianProcess.vp()), x, trace="hutchinson", probes=1)
    np.testing.assert_allclose(log_p, gaussian.log_prob(x), atol=5e-3)


@pytest.mark.parametrize("trace", ["hutchinson", "hutch++"])
def test_the_estimated_density_is_right_on_average(trace, four):
    # 1000 copies of one point: all that differs is the probes
    denoiser, x = four.denoiser(sd.GaussianProcess.vp()), jnp.array([[0.9, 0.6, -0.3, 0.0]])
    log_p = np.asarray(sd.log_prob(KEY, denoiser, jnp.tile(x, (1000, 1)), trace=trace, probes=3, rtol=1e-4, atol=1e-4))
    assert log_p.std() > 1e-2, "a spread, or there is nothing to average"
    assert abs(log_p.mean() - four.log_prob(x)[0]) < 3 * log_p.std() / 1000**0.5 + 2e-3


def estimates(trace, matrix, probes, project=lambda v: v, count=2000):
    x = jnp.zeros((count, matrix.shape[0]))
    draws = draw_probes(jax.random.split(KEY, count), TRACES[trace].draws(probes), project, x)
    dim = jnp.full(count, round(float(jnp.trace(project(jnp.eye(matrix.shape[0]))))), x.dtype)
    return np.asarray(TRACES[trace].estimate(lambda v: v @ matrix, project, dim, x, draws))


def test_estimators_are_unbiased_for_a_jacobian_without_symmetry_and_exact_is_exact():
    matrix = jnp.asarray(np.random.default_rng(0).normal(size=(20, 20)), jnp.float32)
    np.testing.assert_allclose(estimates("exact", matrix, 0, count=2), jnp.trace(matrix), rtol=1e-5)
    for trace in ("hutchinson", "hutch++"):
        values = estimates(trace, matrix, 9)
        assert abs(values.mean() - jnp.trace(matrix)) < 3 * values.std() / len(values) ** 0.5


def test_hutch_plus_plus_has_less_variance_at_the_same_cost_where_few_directions_matter():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(30, 30)))[0]
    matrix = jnp.asarray(basis * (10.0 * 0.5 ** np.arange(30)) @ basis.T, jnp.float32)
    plain, better = estimates("hutchinson", matrix, 12), estimates("hutch++", matrix, 12)
    assert TRACES["hutch++"].passes(30, 12) == TRACES["hutchinson"].passes(30, 12) == 12
    assert better.std() < 0.4 * plain.std()  # 1/16 of the trace lies off the four directions


def test_the_trace_is_that_of_the_support():
    matrix = jnp.asarray(np.random.default_rng(1).normal(size=(6, 6)), jnp.float32)
    projection = jnp.eye(6) - jnp.ones((6, 6)) / 6
    truth = jnp.trace(projection @ matrix @ projection)

    def project(v):
        return v @ projection

    np.testing.assert_allclose(estimates("exact", matrix, 0, project, 2), truth, rtol=1e-4)
    for trace in ("hutchinson", "hutch++"):
        values = estimates(trace, matrix, 6, project)
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


def test_log_prob_has_the_gradient_of_the_density(four):
    denoiser, x = four.denoiser(sd.GaussianProcess.vp()), four.sample(jax.random.key(1), 2)
    slope = jax.grad(lambda x: sd.log_prob(KEY, denoiser, x, rtol=1e-4, atol=1e-4).sum())(x)
    np.testing.assert_allclose(slope, four.score(x), rtol=2e-2, atol=5e-2)


def test_an_unknown_trace_and_too_few_probes_are_named(four):
    denoiser = four.denoiser(sd.GaussianProcess.vp())
    with pytest.raises(ValueError, match="hutch.*none of"):
        sd.log_prob(KEY, denoiser, jnp.zeros((1, 4)), trace="hutch")
    with pytest.raises(ValueError, match="needs at least 3"):
        sd.log_prob(KEY, denoiser, jnp.zeros((1, 4)), trace="hutch++", probes=2)
