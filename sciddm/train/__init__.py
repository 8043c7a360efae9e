"""How is a run trained? `fit(config, workdir)`; the loop reads from top to bottom in loop.py."""

from sciddm.train.loop import fit

__all__ = ["fit"]
