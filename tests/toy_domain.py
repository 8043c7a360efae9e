"""The example domain of examples/toy, few of its points all of which are trained on, and one that is no number where a test wants it."""

import sys
from pathlib import Path

import grain
import numpy as np

sys.path.append(str(Path(__file__).parent.parent / "examples" / "toy"))

from points import Net, Points  # noqa: E402, F401

from sciddm.config import base_config, complete  # noqa: E402

DOMAIN = "toy_domain:Toy"


class Toy(Points):
    def __init__(self, config, stored=None):
        super().__init__(config, stored)
        if (index := config.data.get("nan_at", -1)) >= 0:
            self.points[index] = np.nan

    def dataset(self, split):
        return grain.MapDataset.source(self.points).map(lambda x: {"x": x})


def toy_config(**training):
    config = base_config()
    config.domain, config.network.width = "toy_domain", 32
    config.data.update({"count": 256, "nan_at": -1})
    config.checkpoint.every, config.training.log_every, config.training.steps = 20, 10, 60
    config.training.update(training)
    return complete(config)
