import json
from types import SimpleNamespace

import grain
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_domain import toy_config

import sciddm as sd
from sciddm.denoiser import NetworkDenoiser
from sciddm.networks import Network
from sciddm.normalizer import Normalizer
from sciddm.train.checkpoint import Checkpoints
from sciddm.train.held_out import HeldOut, samples


class Zero(Network):
    def __init__(self):
        super().__init__(None, {})

    def __call__(self, x, noise_level, cond=None):
        return jnp.zeros_like(x)

    def replace(self, params):
        return self


@pytest.fixture(scope="module")
def gaussian():
    """Of points of N(0, .5^2), and the network that is 0, which makes EDM's denoiser the exact one of them."""
    points = np.random.default_rng(0).normal(0.0, 0.5, (2048, 8)).astype(np.float32)
    config = toy_config(batch_size=2048, held_out=2048)
    same = Normalizer(np.float32(0.0), np.float32(1.0), "1")
    domain = SimpleNamespace(normalizer=same, dataset=lambda split: grain.MapDataset.source(points).map(lambda x: {"x": x}))
    denoiser = NetworkDenoiser(Zero(), sd.GaussianProcess.edm(), "edm", 0.5)
    return HeldOut(config, domain, denoiser, jax.sharding.SingleDeviceSharding(jax.devices()[0]))


def test_the_exact_denoiser_of_gaussian_data_loses_one_at_every_level(gaussian):
    """(sigma^2 + s^2) / (sigma s)^2 times the posterior variance sigma^2 s^2 / (sigma^2 + s^2)."""
    look = gaussian.look({}, 7)
    error = (2.0 / (2048 * 8)) ** 0.5  # of a mean of squares of normals
    assert look["step"] == 7 and len(look["levels"]) == 8
    for loss in look["levels"].values():
        assert loss == pytest.approx(1.0, abs=4.5 * error)
    assert look["loss"] == pytest.approx(np.mean(look["each"]), rel=1e-4)
    assert look["error"] == pytest.approx(np.std(look["each"], ddof=1) / 2048**0.5, rel=1e-3)


def test_levels_are_the_middles_of_eighths_of_those_trained_on_and_draws_are_always_the_same(gaussian):
    """ln sigma ~ N(-1.2, 1.2^2) at sigma_data = .5."""
    quantiles = jax.scipy.stats.norm.ppf((2 * np.arange(8) + 1) / 16)
    np.testing.assert_allclose(np.log([float(noise) for noise in gaussian.noise]), -1.2 + 1.2 * quantiles, atol=0.02)
    assert gaussian.look({}, 1)["each"] == gaussian.look({}, 1)["each"]


def test_it_is_looked_at_steps_that_are_logged_ever_more_rarely(gaussian):
    steps = [step for step in range(1, 5001) if gaussian.due(step)]  # log_every is 10
    assert steps[:4] == [10, 20, 30, 40] and all(step % 10 == 0 for step in steps)
    assert 20 <= len(steps) <= 26 and max(np.diff(np.log(steps))[8:]) < np.log(1.3**2)


def test_a_run_keeps_its_held_out_losses_in_metrics_and_checkpoints_and_none_where_none_are_wanted(toy_run, tmp_path):
    lines = [json.loads(line) for line in (toy_run / "metrics.jsonl").read_text().splitlines()]
    looks = Checkpoints(toy_run, read_only=True).meta()["held_out"]
    assert all("loss" in line for line in lines) and looks[-1]["step"] == 60
    written = {line["step"]: line["held_out/loss"] for line in lines if "held_out/loss" in line}
    assert written == {look["step"]: look["loss"] for look in looks}
    assert [key for key in lines[0] if key.startswith("held_out/noise")] == [f"held_out/noise {noise}" for noise in looks[0]["levels"]]
    from toy_domain import Toy

    none = HeldOut(toy_config(held_out=0), Toy(toy_config()), None, jax.sharding.SingleDeviceSharding(jax.devices()[0]))
    assert not none.count and not none.due(10)
    asked = {0: 0, 1: 2, 32: 32, 33: 34, 10**6: 64}  # over two devices, a batch at most
    assert {number: samples(toy_config(held_out=number, batch_size=64), 2) for number in asked} == asked
