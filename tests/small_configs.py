"""Each domain at its smallest, with the names of its tasks: what the tests train once and share. A new domain is one line of DOMAINS."""

import importlib

from small_fields import write_small
from small_sounds import write_sounds
from toy_domain import toy_config

from sciddm.config import complete


def _pde():
    config = importlib.import_module("configs.pde").get_config("smoke")
    config.data.update({"resolution": 16, "count": 96, "held_out": 8})
    config.network.update({"channels": (16,), "attention_levels": ()})
    return config


def _weather():
    config = importlib.import_module("configs.weather").get_config("smoke")
    config.data.update({"size": 32, "events": 10, "frames": 18, "held_out": 2})
    config.network.update({"channels": (8,), "attention_levels": (), "features": 16})
    config.tasks.wide.size, config.tasks.rollout.windows, config.tasks.assimilate.gauges = 48, 2, 0.02
    return config


def _molecules():
    config = importlib.import_module("configs.molecules").get_config("smoke")
    config.data.update({"source": "qm9", "count": 100})
    config.network.update({"hidden": 16, "layers": 1})
    config.tasks.conformers.count = 2
    config.tasks.count.update({"number": 1, "num_particles": 4})
    return config


def _fields():
    config = importlib.import_module("configs.fields").get_config("smoke")
    config.data.update({"window": 4, "past": 2, "memory": 1.0})
    config.network.update({"channels": (8,), "attention_levels": (), "features": 16, "width": 8})
    complete(config).tasks.rollout.windows = 2  # forecasts and rollouts come with a window
    return config


def _audio():
    config = importlib.import_module("configs.audio").get_config("smoke")
    config.data.update({"bins": 32, "frames": 32, "clip": 0.3})
    config.network.update({"channels": (8,), "attention_levels": (), "features": 16})
    config.tasks.long.seconds = 0.2
    return config


DOMAINS = {
    "audio": (_audio, ("inpaint", "declip", "bandwidth", "denoise", "dereverb", "style", "long", "generate")),
    "fields": (_fields, ("observe", "fill", "superresolve", "forecast", "rollout", "wide", "generate")),
    "weather": (_weather, ("nowcast", "assimilate", "downscale", "fill", "interpolate", "extreme", "wide", "rollout")),
    "molecules": (_molecules, ("generate", "conformers", "scaffold", "linker", "property", "repair", "count")),
    "pde": (_pde, ("superresolve", "generate", "forward", "inverse")),
    "toy": (toy_config, ("half",)),
}


def small_config(name, cache):
    """That of a run of `name` which takes two steps; its data lie in `cache`."""
    config = DOMAINS[name][0]()
    config.data.cache = str(cache)
    if name == "fields":
        config.data.path = str(write_small(cache))
    if name == "audio":
        config.data.path = str(write_sounds(cache))
    config.training.update({"steps": 2, "wall_minutes": None, "batch_size": 8, "held_out": 0})  # toy runs have held-out losses
    # batches of the two members that are asked for: each task needs one program
    config.sampling.update({"steps": 3, "grid": "optimised", "batch_size": 2})  # a grid of its own is searched by one test
    for options in config.tasks.values():
        options.steps = 3
    config.checkpoint.every = 2
    return config
