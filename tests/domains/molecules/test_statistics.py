import numpy as np
import pytest

import sciddm as sd
from domains.molecules.layout import Layout
from domains.molecules.statistics import OfAtoms


def test_normaliser_comes_back_from_json_with_kinds_sizes_and_scalar(domain):
    again = OfAtoms.from_json(domain.normalizer.to_json())
    assert again.layout == domain.layout == Layout((6, 7, 8, 9), True, True)
    np.testing.assert_array_equal(again.sizes, domain.normalizer.sizes)
    assert again.scalar == domain.normalizer.scalar
    np.testing.assert_allclose(again.std["features"], domain.normalizer.std["features"])
    with pytest.raises(sd.UserError, match="no kinds of atom"):
        OfAtoms.from_json({})
