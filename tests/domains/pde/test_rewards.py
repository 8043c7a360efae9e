"""Rewards of PDE fields on fields whose answers are seen by eye."""

import importlib

import numpy as np
import pytest

import sciddm as sd
from domains.pde.domain import PDEDomain
from domains.pde.generate import EQUATIONS

NORMALIZERS = {1: ([0.0], [1.0]), 2: ([0.0, 0.0], [1.0, 1.0])}


def domain(equation):
    config = importlib.import_module("configs.pde").get_config("smoke")
    config.data.update({"equation": equation, "resolution": 64})
    mean, std = NORMALIZERS[len(EQUATIONS[equation].variables)]
    return PDEDomain(config, sd.Normalizer(np.float32(mean), np.float32(std), "1").to_json())


def values(equation, x):
    return {name: float(reward.function(x)[0]) for name, reward in domain(equation).rewards.items()}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_rewards_come_in_pairs_that_hold_each_other_out(equation):
    rewards = domain(equation).rewards
    assert len(rewards) == 4 and all(rewards[reward.held_out].held_out == name for name, reward in rewards.items())
    assert [name for name, reward in rewards.items() if not reward.differentiable] == [list(rewards)[3]]


def test_darcy_is_paid_for_its_pressure_and_for_patches_of_high_permeability():
    x = np.zeros((1, 64, 64, 2), np.float32)
    x[..., 0] = 3.0
    x[0, :8, :32, 0] = x[0, -8:, :32, 0] = 12.0
    x[0, 5, 7, 1], x[0, 1, 1, 1] = 4.0, -1.0
    found = values("darcy", x)
    assert found["maximum of u"] == 4.0 and found["mean of u"] == pytest.approx(3.0 / 64**2)
    assert found["share of high a"] == pytest.approx(0.125, abs=1e-3) and found["cells of high a"] == 2.0


def test_a_vorticity_is_paid_on_the_torus_and_at_the_later_time():
    x = np.zeros((1, 64, 64, 2), np.float32)
    x[..., 0] = 9.0
    x[0, :8, :32, 1] = x[0, -8:, :32, 1] = 2.0
    found = values("navier-stokes", x)
    assert found["maximum of wT"] == 2.0 and found["energy of wT"] == pytest.approx(0.25)
    assert found["share of high wT"] == pytest.approx(0.125, abs=1e-3) and found["cells of high wT"] == 1.0
