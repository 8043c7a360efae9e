"""Where does a small model look on a large field? Linear views of one canonical field, and their exact adjoints."""

from sciddm.lookahead.views.base import Views
from sciddm.lookahead.views.mesh import mesh
from sciddm.lookahead.views.sphere import sphere
from sciddm.lookahead.views.windows import patches, windows

__all__ = ["Views", "mesh", "patches", "sphere", "windows"]
