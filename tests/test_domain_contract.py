"""What every domain must do (`sciddm.testing`), on one small run of each. A new domain is one line in `small_configs`."""

import pathlib
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from small_configs import DOMAINS
from toy_domain import Toy, toy_config

import sciddm as sd
from sciddm import testing
from sciddm.train.checkpoint import Checkpoints


@pytest.fixture(params=DOMAINS)
def name(request):
    return request.param


@pytest.fixture
def model(name, small_model):
    return small_model(name)


def test_a_run_of_two_steps_goes_on_where_it_stopped(name, small_run):
    assert Checkpoints(small_run(name), read_only=True).steps() == [4, 2]


def test_data_have_the_example_s_shape_and_the_normaliser_goes_there_and_back_and_rewards_are_paired_and_finite(model):
    testing.check_rewards(model, testing.check_data(model))


def test_samples_have_the_right_shape_go_through_the_native_form_and_back_and_are_saved_and_drawn(model, tmp_path):
    testing.check_samples(model, tmp_path)


def test_tasks_are_those_that_are_tested_here(name, model):
    assert set(model.domain.tasks) == set(DOMAINS[name][1])


@pytest.mark.parametrize(
    "name, kind", [(name, kind) for name, (_, kinds) in DOMAINS.items() for kind in kinds], indirect=["name"]
)
def test_a_task_makes_a_problem_answers_scores_and_a_picture_and_the_same_problem_of_what_a_user_brings(kind, model, tmp_path):
    testing.check_task(model, kind)
    testing.check_given(model, kind, tmp_path)  # in the same test: by the same programs


def test_the_shipped_contract_passes_a_domain_and_names_what_another_one_does_not_do(tmp_path, monkeypatch):
    config = toy_config(batch_size=8)
    config.sampling.update({"steps": 3, "batch_size": 2})
    model = testing.check_domain(config, tmp_path)
    for method, wrong, said in (
        ("save", lambda self, samples, path: None, "`save` wrote nothing"),
        ("from_native", lambda self, native: native[:, :1], r"have shapes \(5, 1\), not \(5, 2\)"),
        ("from_native", lambda self, native: 1000.0 * native, "are off by"),
        ("plot", lambda self, samples: None, "`plot` gives no matplotlib figure"),
        ("metrics", lambda self, x, reference: {"mean": 1}, "metric 'mean' is a int"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Toy, method, wrong)
            with pytest.raises(AssertionError, match=said):
                (tmp_path / "samples.npy").unlink(missing_ok=True)
                testing.check_samples(model, tmp_path)


def test_a_picture_whose_maps_have_no_colour_bar_with_a_unit_or_whose_axes_have_no_labels_is_refused():
    figure, (left, right) = plt.subplots(1, 2)
    image = [ax.imshow(np.eye(3), vmin=0.0, vmax=1.0) for ax in (left, right)][0]
    with pytest.raises(AssertionError, match="a map of '' has no colour bar"):
        testing.check_picture(figure)
    bar = figure.colorbar(image, ax=[left, right], label="pressure")
    with pytest.raises(AssertionError, match="the colour bar 'pressure' has no unit"):
        testing.check_picture(figure)
    bar.set_label("pressure [Pa]")
    left.set(xlabel="x [m]")
    with pytest.raises(AssertionError, match="have no y label"):
        testing.check_picture(figure)
    left.set(ylabel="y [m]")  # the other one's range is the same
    testing.check_picture(figure)
    right.imshow(np.eye(3), vmin=0.0, vmax=2.0)
    with pytest.raises(AssertionError, match="has no colour bar"):
        testing.check_picture(figure)
    right.axis("off")
    testing.check_picture(figure)
    plt.close(figure)


def test_the_core_never_imports_a_domain():
    for file in pathlib.Path(sd.__file__).parent.rglob("*.py"):
        assert not re.search(r"^\s*(from|import) domains", file.read_text(), re.MULTILINE), file
