"""What a user brings to the tasks of molecules, on the small run of the contract."""

import pytest

from sciddm import testing


@pytest.mark.parametrize("name", ["generate", "conformers", "scaffold", "linker", "property", "repair", "count"])
def test_the_problem_of_an_example_is_made_again_from_what_a_user_would_bring(name, small_model, tmp_path):
    testing.check_given(small_model("molecules"), name, tmp_path)
