"""Points in the plane: get_config(). Executed as Python by --config examples/toy/config.py."""

from sciddm.config import base_config, complete


def get_config(variant: str = ""):
    """A minute on any machine."""
    config = base_config()
    config.domain = "points:Points"  # points.py lies beside this file
    config.data.count = 2048
    config.network.width = 32
    config.training.update({"steps": 2000, "batch_size": 64, "learning_rate": 3e-3})
    config.evaluation.members = 64
    return complete(config)
