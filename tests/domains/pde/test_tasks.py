import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from domains.pde import elliptic
from domains.pde.metrics import ensemble_metrics, field_metrics, spectrum
from domains.pde.tasks import residual_potential
from sciddm.lookahead import GUIDES


def pde_config(cache):
    config = importlib.import_module("configs.pde").get_config("smoke")
    config.data.update({"resolution": 16, "count": 64, "held_out": 8, "cache": str(cache)})
    return config


@pytest.fixture(scope="session")
def cache(once):
    return once("darcy", lambda folder: sd.get_domain(pde_config(folder)).dataset("test"))


@pytest.fixture
def domain(cache):
    return sd.get_domain(pde_config(cache))


@pytest.mark.parametrize("name,side", [("forward", 0), ("inverse", 1)])
def test_scattered_points_are_seen_where_they_lie_and_on_one_side_only(domain, name, side):
    truth = domain.fields("test")[0]
    problem = domain.tasks[name].problem(jax.random.key(0), truth)
    normal = domain.normalizer.normalize(truth)
    np.testing.assert_allclose(problem.observation.residual(normal[None]), 0.0, atol=1e-6)
    disturbed = normal.copy()
    disturbed[..., 1 - side] += 3.0
    np.testing.assert_allclose(problem.observation.residual(disturbed[None]), 0.0, atol=1e-6)
    assert len(set(problem.extras["places"].tolist())) == round(0.03 * 256)


def test_nearest_neighbours_and_the_solver_recover_a_field_that_is_seen_everywhere(domain):
    domain.tasks["forward"].points = 1.0
    truth = domain.fields("test")[0]
    problem = domain.tasks["forward"].problem(jax.random.key(0), truth)
    answer = domain.tasks["forward"].baseline(problem)["nearest + solve"]
    np.testing.assert_allclose(answer, truth, rtol=1e-5)
    scores = domain.tasks["forward"].metrics(answer[None], problem)
    assert scores["sign error of a"] == 0 and scores["relative L2 of u"] < 1e-5 and scores["residual"] < 1e-2


def test_radial_basis_interpolation_passes_through_what_is_seen(domain):
    truth = domain.fields("test")[1]
    problem = domain.tasks["inverse"].problem(jax.random.key(0), truth)
    answer = domain.tasks["inverse"].baseline(problem)["radial basis"]
    places = problem.extras["places"]
    np.testing.assert_allclose(answer[..., 1].reshape(-1)[places], truth[..., 1].reshape(-1)[places], rtol=1e-4)


def test_residual_potential_is_largest_on_solutions(domain):
    truth = domain.normalizer.normalize(domain.fields("test")[:2])
    potential = jax.jit(residual_potential(domain))
    assert float(jnp.abs(potential(jnp.asarray(truth), 0.0)).max()) < 1e-4
    off = jnp.asarray(truth).at[..., 1].multiply(1.2)
    gradient = jax.grad(lambda x: potential(x, 0.0).sum())(off)
    assert bool(jnp.all(potential(off, 0.0) < -1e-3))
    assert float(jnp.abs(gradient[..., 1]).max()) > 0


def test_perfect_ensembles_have_perfect_scores(domain):
    truth = domain.fields("test")[0]
    scores = ensemble_metrics(domain.spec, np.stack([truth] * 4), truth)
    assert (
        scores["relative L2 of u"] == 0
        and scores["CRPS of u"] == 0
        and scores["coverage of u"] == 1
        and scores["residual"] < 1e-2
    )
    flipped = truth.copy()
    flipped[..., 0] = 15.0 - flipped[..., 0]
    assert ensemble_metrics(domain.spec, flipped[None], truth)["sign error of a"] == 1
    same = field_metrics(domain.spec, domain.fields("test"), domain.fields("test"))
    assert same["sliced Wasserstein"] == 0 and same["spectrum of u"] == 0


def test_the_users_own_file_stands_in_for_the_embedded_default(domain, tmp_path):
    own = tmp_path / "own.nc"
    domain.save(domain.to_native(domain.fields("all")), own)
    config = importlib.import_module("configs.pde").get_config("smoke")
    config.data.update({"resolution": 16, "held_out": 8, "path": str(own)})
    again = sd.get_domain(config)
    np.testing.assert_array_equal(again.fields("test"), domain.fields("test"))
    config.data.resolution = 32
    with pytest.raises(sd.UserError, match=r"shape \(16, 16\); expected \(32, 32\)"):
        sd.get_domain(config)


def test_a_checkpoint_that_knows_no_layout_has_that_of_its_equation_and_the_same_normaliser(domain, cache):
    stored = sd.Normalizer(domain.normalizer.mean, domain.normalizer.std, "a [1], u [1]").to_json()
    old = sd.get_domain(pde_config(cache), stored)
    x = domain.fields("test")
    for way in ("normalize", "denormalize"):
        np.testing.assert_array_equal(getattr(old.normalizer, way)(x), getattr(domain.normalizer, way)(x))
    assert old.to_native(x).identical(domain.to_native(x)) and "source" not in vars(old)
    np.testing.assert_array_equal(old.mean_field, domain.mean_field)


def test_any_method_may_be_asked_for_and_samples_its_own_way_where_the_config_leaves_it_open(domain, cache):
    config = pde_config(cache)
    prior = sd.FunctionDenoiser(lambda x, t, cond: 0.5 * x, sd.GaussianProcess.edm())
    for method in GUIDES:
        config.tasks.inverse.update({"method": method, "solver": None, "steps": None, "grid": None})
        task = sd.get_domain(config).tasks["inverse"]
        assert task.sampling == {"solver": None, "steps": None, "grid": None}
        guided = task.guide(prior, task.problem(jax.random.key(0), domain.fields("test")[0]))
        if method in ("ddnm", "ddrm"):
            samples, info = sd.sample(jax.random.key(0), guided, (2, 16, 16, 2), **task.sampling)
            assert bool(jnp.all(jnp.isfinite(samples))) and len(info["times"]) == {"ddnm": 101, "ddrm": 21}[method]
    config.tasks.inverse.method = "mmp"
    with pytest.raises(sd.UserError, match="config.tasks.inverse.method: guide 'mmp' is none of .* did you mean mmps"):
        sd.get_domain(config)


def test_superresolution_sees_block_means(domain):
    truth = domain.fields("test")[0]
    problem = domain.tasks["superresolve"].problem(jax.random.key(0), truth)
    blocks = domain.normalizer.normalize(truth).reshape(4, 4, 4, 4, 2).mean((1, 3))
    np.testing.assert_allclose(problem.observation.value, blocks, atol=1e-5)
    assert elliptic.darcy_residual(truth[..., 0], truth[..., 1]).std() < 1e-2


def test_a_wave_is_in_the_shell_of_the_nearest_wavenumber():
    y, x = np.mgrid[:16, :16]
    for wave, shell in (((2, 2), 3), ((1, 1), 1), ((0, 5), 5), ((4, 5), 6)):  # |k| = 2.83, 1.41, 5, 6.40
        power = spectrum(np.cos(2 * np.pi * (wave[0] * y + wave[1] * x) / 16)[None])
        assert np.argmax(power) + 1 == shell and np.delete(power, shell - 1).max() < 1e-20
