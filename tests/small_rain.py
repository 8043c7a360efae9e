"""A small domain of rain for tests, and a model of it whose network is a function."""

import importlib

import sciddm as sd
from sciddm.model import Model


def weather_config(tmp_path, **data):
    config = importlib.import_module("configs.weather").get_config("smoke")
    config.data.update({"size": 32, "events": 8, "frames": 18, "held_out": 2, "cache": str(tmp_path)} | data)
    config.tasks.wide.size = 80
    config.network.update({"channels": (8, 8), "attention_levels": (), "features": 16})
    return config


def fake_model(domain, network):
    """A model whose denoiser is a function (x_t, cond) -> x0_hat."""
    denoiser = sd.FunctionDenoiser(lambda x_t, t, cond: network(x_t, cond), sd.GaussianProcess.edm())
    config = weather_config("")
    config.sampling.update({"solver": "heun", "steps": 2, "grid": "edm", "batch_size": 2})
    return Model(denoiser, domain, config, 0, None)
