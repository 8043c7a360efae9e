"""The example domain of examples/toy, few of its points all of which are trained on, and one that is no number where a test wants it."""

import sys
from pathlib import Path

import grain
import numpy as np

sys.path.append(str(Path(__file__).parent.parent / "examples" / "toy"))

from points import Net, Points  # noqa: E402, F401

import sciddm as sd  # noqa: E402
from sciddm.config import base_config, complete  # noqa: E402

DOMAIN = "toy_domain:Toy"


class Toy(Points):
    def __init__(self, config, stored=None):
        super().__init__(config, stored)
        if (index := config.data.get("nan_at", -1)) >= 0:
            self.points[index] = np.nan

    def dataset(self, split):
        return grain.MapDataset.source(self.points).map(lambda x: {"x": x})


class Measured(Toy):
    """In units of its own points' mean and spread."""

    def __init__(self, config, stored=None):
        super().__init__(config, stored)
        mean, std = np.float32(self.points.mean()), np.float32(self.points.std())
        self.normalizer = sd.Normalizer.from_json(stored, self.example) if stored else sd.Normalizer(mean, std, "m")


def toy_config(**training):
    config = base_config()
    config.domain, config.network.width = "toy_domain", 32
    config.data.update({"count": 256, "nan_at": -1})
    config.sampling.grid = "optimised"  # that of `toy_run` is its own
    config.checkpoint.every, config.training.log_every, config.training.steps, config.training.held_out = 20, 10, 60, 0
    config.training.update(training)
    return complete(config)


def exact_model(tmp_path):
    """Normal x of unit variance, correlated by 0.8: exact. In physical units N(1, 4)."""
    from sciddm.model import Model

    config = toy_config()
    config.sampling.steps = 8
    law = sd.oracle.GaussianMixture([1.0], [[0.0, 0.0]], [[1.0, 0.8], [0.8, 1.0]])
    return Model(law.denoiser(sd.GaussianProcess.vp()), Toy(config), config, 0, tmp_path)
