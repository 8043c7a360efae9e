"""How is a run trained? `fit(config, workdir)`; the loop reads from top to bottom in loop.py."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # reading a run does without the loop
