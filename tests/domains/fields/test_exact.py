"""Gaussian fields with the oracle in the network's place: masks, transforms, points off the grid and block means against closed forms."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
import scipy.stats
import xarray as xr
from fields_domains import domain_of

import sciddm as sd
from domains.fields.instruments import block_means, interpolate
from domains.fields.tasks import SuperResolve
from sciddm import lookahead
from sciddm.model import Model

GRID, LAND = (4, 5), [(0, 0), (0, 1), (3, 4)]


def gaussian_law(seed=0):
    """(mean, covariance) of a smooth field on GRID."""
    places = np.stack(np.meshgrid(np.arange(4), np.arange(5), indexing="ij"), -1).reshape(-1, 2)
    distance = np.square(places[:, None] - places[None]).sum(-1)
    return 1.0 + 0.1 * np.random.default_rng(seed).standard_normal(20), 0.3 * np.exp(-distance / 8) + 0.03 * np.eye(20)


def model_of(folder, transform="identity", land=(), noise="white"):
    """A model of exp(g) or of g, g of `gaussian_law`, with the exact denoiser; and the law."""
    mean, covariance = gaussian_law()
    g = np.random.default_rng(1).multivariate_normal(mean, covariance, 400).reshape(400, *GRID)
    x = np.exp(g) if transform == "log" else g
    for place in land:
        x[(slice(None), *place)] = np.nan
    file = xr.Dataset(
        {"u": (("sample", "y", "x"), x, {"units": "kg"})}, {"y": np.arange(4.0)[::-1], "x": np.arange(5.0)}
    )
    domain = domain_of(file, folder, transforms=(f"u={transform}",), noise=noise)
    free = np.ones(GRID, bool)
    for place in land:
        free[place] = False
    free = free.ravel()
    m, s = float(domain.normalizer.mean[0]), float(domain.normalizer.std[0])
    process = sd.GaussianProcess.vp(noise=domain.noise)
    oracle = sd.oracle.GaussianMixture(
        [1.0], np.where(free, (mean - m) / s, 0)[None], covariance * np.outer(free, free) / s**2
    )
    config = sd_config(domain)
    return Model(oracle.denoiser(process, (*GRID, 1)), domain, config, 0, folder), mean, covariance, free


def sd_config(domain):
    from configs.fields import get_config

    config = get_config()
    config.sampling.update({"solver": "unipc2", "steps": 100, "grid": "logsnr", "batch_size": 2048})
    return config


@pytest.mark.parametrize("transform, land", [pytest.param("log", (), marks=pytest.mark.slow), ("log", LAND)])
def test_log_densities_are_those_of_the_physical_variable_over_what_is_not_masked(transform, land, tmp_path):
    model, mean, covariance, free = model_of(tmp_path, transform, land)
    g = np.random.default_rng(2).multivariate_normal(mean, covariance, 6)
    x = np.where(free, np.exp(g) if transform == "log" else g, np.nan).reshape(6, *GRID, 1)
    law = scipy.stats.multivariate_normal(mean[free], covariance[np.ix_(free, free)])
    exact = law.logpdf(g[:, free]) - (g[:, free].sum(1) if transform == "log" else 0.0)
    native = model.domain.to_native(model.domain.filled(x))
    np.testing.assert_allclose(model.log_prob(native, rtol=1e-6, atol=1e-6), exact, atol=2e-2)


@pytest.mark.parametrize(
    "seen, land, noise",
    [("points off the grid", LAND, "white"), ("block means", (), "spectral"), ("block means", LAND, "white")],
)
def test_posteriors_of_points_off_the_grid_and_of_block_means_are_the_closed_form_s(seen, land, noise, tmp_path):
    model, mean, covariance, free = model_of(tmp_path, land=land, noise=noise)
    domain, layout = model.domain, model.domain.layout
    truth = np.where(free, np.random.default_rng(3).multivariate_normal(mean, covariance), 0.0)
    fields = {"u": jnp.asarray(truth.reshape(1, *GRID), jnp.float32)}
    places = [[2.3, 1.7], [1.5, 3.5], [0.2, 0.4], [1.9, 2.0]]  # y is descending
    instrument = interpolate(layout, "u", places) if seen.startswith("points") else block_means(layout, 2)
    rows = jnp.eye(20).reshape(20, *GRID)
    matrix = np.asarray(instrument({"u": rows})).reshape(20, -1).T * free
    rows_seen = np.abs(matrix).sum(1) > 0
    std, value = 0.2, np.asarray(instrument(fields))[0] + 0.1
    posterior = sd.oracle.GaussianMixture([1.0], mean[None] * free, covariance * np.outer(free, free)).posterior(
        matrix[rows_seen], value.ravel()[rows_seen], std
    )
    observation = domain.observation(instrument, value, np.where(rows_seen.reshape(value.shape), std, 1e3))
    guided = lookahead.mmps(model.denoiser, observation, iterations=20)
    count = 2048
    samples = model.draw(0, count, denoiser=guided).reshape(count, -1)[:, free]
    native = domain.to_native(samples_on_grid := model.draw(0, 2, denoiser=guided))
    assert np.isnan(native["u"].values[:, ~free.reshape(GRID)]).all() and np.isfinite(samples_on_grid).all()
    exact, spread = np.asarray(posterior.mean)[free], np.sqrt(np.diag(np.asarray(posterior.covariance)))[free]
    assert np.all(np.abs(samples.mean(0) - exact) <= 5 * spread / np.sqrt(count) + 0.01 * spread)
    np.testing.assert_allclose(samples.std(0), spread, rtol=0.06)


def test_block_means_are_of_the_physical_variable_before_the_transform(tmp_path):
    model, mean, covariance, _ = model_of(tmp_path, "log")
    task = SuperResolve(model.domain, factor=2, noise=1e-4)
    x = np.exp(np.random.default_rng(3).multivariate_normal(mean, covariance)).reshape(*GRID, 1).astype(np.float32)
    problem = task.problem(jax.random.key(0), x)
    blocks = np.stack([x[i : i + 2, j : j + 2].mean((0, 1)) for i in (0, 2) for j in (0, 2, 4)]).reshape(2, 3, 1)
    np.testing.assert_allclose(problem.extras["coarse"], blocks, atol=1e-3)
    z = model.normalizer.normalize(jnp.asarray(x)[None])
    assert float(jnp.abs(problem.observation.residual(z)).max()) < 1e-3  # the truth explains what was seen
    mean_of_logs = model.normalizer.denormalize(jnp.broadcast_to(z.mean((1, 2), keepdims=True), z.shape))
    assert float(jnp.abs(problem.observation.residual(mean_of_logs)).max()) > 0.05


def test_the_spectral_law_has_the_data_s_own_spectrum(tmp_path):
    model, mean, covariance, _ = model_of(tmp_path, noise="spectral")
    law, domain = model.domain.noise, model.domain
    x = np.stack([domain.dataset("train")[i]["x"] for i in range(len(domain.dataset("train")))])[..., 0]
    power = np.mean(scipy.fft.dctn((x - x.mean()) / x.std(), axes=(1, 2), norm="ortho") ** 2, 0)
    np.testing.assert_allclose(law.spectrum, power / power.mean(), rtol=1e-3)


def test_components_of_vectors_turn_their_sign_where_a_sample_is_mirrored(tmp_path):
    rng = np.random.default_rng(0)
    values = {name: (("sample", "y", "x"), rng.standard_normal((8, 3, 4))) for name in ("u", "p", "v")}
    domain = domain_of(xr.Dataset(values), tmp_path, vectors=(("u", "v"),), augment=("y", "x"))
    data, plain = domain.dataset("train"), np.stack([values[name][1] for name in ("u", "p", "v")], -1)
    assert len(data) == 7 * 4
    flip = partial(np.flip, axis=-2)
    for i in range(0, 28, 4):
        x = plain[i // 4]
        along_y, along_x = np.flip(x, 0) * [1, 1, -1], flip(x) * [-1, 1, 1]  # u lies along x, v along y
        both = np.flip(along_x, 0) * [1, 1, -1]
        for k, expected in enumerate((x, along_y, along_x, both)):
            np.testing.assert_allclose(data[i + k]["x"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "space, directions",
    [(("y", "x"), ("x", "y")), (("x", "y"), ("x", "y")), (("lev", "lat", "lon"), ("lon", "lat", "lev")), (("a", "b"), ("b", "a"))],
)
def test_components_lie_along_x_and_y_by_name_whatever_the_file_s_order(space, directions, tmp_path):
    sizes = dict(zip(space, (3, 4, 5), strict=False))
    values = np.random.default_rng(0).standard_normal((8, *sizes.values()))
    domain = domain_of(xr.Dataset({"u": (("sample", *space), values)}), tmp_path)
    assert domain.layout.directions == directions
