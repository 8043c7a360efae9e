import dataclasses
import shutil

import equinox as eqx
import jax
import numpy as np
import pytest
from toy_domain import Toy, toy_config

import sciddm as sd
from sciddm.answer import Answer
from sciddm.errors import UserError
from sciddm.model import Model
from sciddm.train import fit


@pytest.fixture
def model(toy_run, tmp_path):
    """Of a run in `tmp_path`."""
    return sd.load(shutil.copytree(toy_run, tmp_path, dirs_exist_ok=True))


def test_a_trained_run_loads_and_samples_in_physical_units(tmp_path):
    config = toy_config(steps=600, learning_rate=5e-3)
    config.checkpoint.every = 300
    fit(config, tmp_path, progress=False)
    model = sd.load(tmp_path)
    samples = model.sample(0, 400)
    assert (
        samples.shape == (400, 2)
        and samples.mean() == pytest.approx(1.0, abs=0.4)
        and samples.std() == pytest.approx(2.02, rel=0.15)
    )
    np.testing.assert_allclose(model.draw(0, 3), model.draw(0, 40)[:3], atol=1e-5)
    seen = model.domain.dataset("test")[0]["x"]
    steered = model.sample(1, 64, task="half", example=seen)
    assert np.abs(steered[:, 0] - seen[0]).mean() < 0.3 and np.abs(steered[:, 1] - seen[1]).mean() < 1.0
    with pytest.raises(UserError, match="did you mean half"):
        model.sample(0, 2, task="hall")
    own = sd.lookahead.dps(model.denoiser, model.problem("half").observation, scale=1.0)
    for options, said in (
        ({"solver": "ddimm"}, "solver 'ddimm' is none of"), ({"grid": "logsnrr"}, "grid 'logsnrr' is none of"),
        ({"solver": "tsit5", "denoiser": own}, "moves x between fixed steps"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=said):
            model.draw(0, 2, **options)


def test_log_prob_is_the_density_in_physical_units(tmp_path):
    # Data are N(M, C) in physical units: what the denoiser sees is N((M - 1) / 2, C / 4).
    config = toy_config()
    config.sampling.batch_size = 3
    mean, covariance = np.array([1.4, 0.2]), np.array([[2.0, 0.5], [0.5, 1.0]])
    normal = sd.oracle.GaussianMixture([1.0], [(mean - 1.0) / 2.0], covariance / 4.0)
    physical = sd.oracle.GaussianMixture([1.0], [mean], covariance)
    model = Model(normal.denoiser(sd.GaussianProcess.vp()), Native(config), config, 0, tmp_path)
    x = np.array(physical.sample(jax.random.key(0), 7))
    x[3] = x[0]
    for samples in (x, {"points": x}):
        np.testing.assert_allclose(model.log_prob(samples), physical.log_prob(x), atol=5e-3)
    estimated = model.log_prob(x, key=3, trace="hutchinson", probes=64)
    assert estimated[3] != estimated[0]  # the same x in another batch has probes of its own
    # of four the last stands in a batch of its own, filled up
    np.testing.assert_allclose(estimated[:4], model.log_prob(x[:4], key=3, trace="hutchinson", probes=64), atol=1e-4)


class Native(Toy):
    def from_native(self, native):
        return native["points"]


def test_the_domain_draws_cond_of_samples_and_noise_has_the_law_of_that_cond(model, monkeypatch):
    seen = []

    def draw_cond(self, keys):
        return {"mask": np.array([[1.0, 0.0]] * len(keys), np.float32)}

    def evaluate_net(self, x_t, t, cond=None):
        seen.append(cond)
        return Answer(jax.tree.map(lambda leaf: self.process.noise.each("project", leaf), x_t), {})

    def of_mask(cond):
        mask = jax.numpy.asarray(cond["mask"])
        return sd.Masked(mask[0] if len(mask) == 1 else mask)

    law = sd.noise.ByCondition(sd.White(), of_mask)
    model = dataclasses.replace(model, denoiser=eqx.tree_at(lambda d: d.process.noise, model.denoiser, law))
    monkeypatch.setattr(type(model.domain), "draw_cond", draw_cond)
    monkeypatch.setattr(type(model.denoiser), "evaluate", evaluate_net)
    samples = model.normalizer.normalize(model.draw(0, 3, steps=2))
    assert seen[0] is not None and not np.any(samples[:, 1]) and np.all(samples[:, 0] != 0)
    always = model.denoiser_for(draw_cond(None, [0]))
    always(np.ones((2, 2), np.float32), 0.5)
    assert seen[-1]["mask"].shape == (1, 2)


def test_samples_of_another_size_and_by_another_sampler_go_through_the_same_batches(model):
    model.config.sampling.batch_size = 4
    pulled = sd.FunctionDenoiser(lambda x, t, cond: 0.5 * x, model.denoiser.process)
    asked = []

    def mirrored(keys, denoiser, shape, *, cond, **options):
        asked.append((len(keys), shape.shape, cond, sorted(options)))
        samples, info = sd.sample(keys, denoiser, shape, cond=cond, **options)
        return -samples, info

    options = {"denoiser": pulled, "shape": (5,), "solver": "ddim", "steps": 2}
    plain, turned = model.draw(0, 6, **options), model.draw(0, 6, sampler=mirrored, **options)
    assert plain.shape == turned.shape == (6, 5)
    np.testing.assert_allclose(model.normalizer.normalize(turned), -model.normalizer.normalize(plain), rtol=1e-6)
    assert asked == [(4, (4, 5), None, ["grid", "solver", "steps"])] * 2
    np.testing.assert_allclose(model.draw(0, 5, **options), plain[:5], rtol=1e-6)  # whatever the batch
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(np.arange(6))
    np.testing.assert_allclose(model.draw(keys, 6, **options), plain, rtol=1e-6)
    with pytest.raises(ValueError, match="6 keys for 5 samples"):
        model.draw(keys, 5, **options)


def test_the_averaged_weights_are_loaded_unless_the_plain_ones_are_asked_for_and_lag_behind_them(toy_run):
    averaged, plain = (sd.load(toy_run, ema=ema).denoiser.network.params for ema in (True, False))
    early = sd.load(toy_run, step=20, ema=False).denoiser.network.params
    distance = lambda a, b: sum(float(np.sum((x - y) ** 2)) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))  # noqa: E731
    assert 0.0 < distance(averaged, plain) < distance(early, plain)
    # an average is between where the weights were and where they are
    assert distance(averaged, early) < distance(plain, early)


def test_each_sample_has_its_own_cond_whatever_the_batch_and_one_cond_is_for_all(toy_run):
    model = sd.load(toy_run, changes={"sampling.batch_size": 2})
    seen = []

    def sampler(keys, denoiser, shape, *, cond, **options):
        seen.append(np.asarray(cond["a"]).tolist())
        return np.zeros(shape.shape), {}

    model.draw(0, 5, cond={"a": np.arange(5)}, sampler=sampler)
    model.draw(0, 3, cond={"a": np.array([7])}, sampler=sampler)
    assert seen == [[0, 1], [2, 3], [4, 4], [7], [7]]
