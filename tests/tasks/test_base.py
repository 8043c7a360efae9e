"""Options of tasks by their signatures, tasks of one's own, and those of version 0.1."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from toy_domain import toy_config

import sciddm as sd
from sciddm.config import complete
from sciddm.tasks.base import check_tasks, draw_picture, task_options


class Own(sd.tasks.Generate):
    def __init__(self, domain, *, needed: int, fine: float = 0.5, **sampling):
        super().__init__(domain, **sampling)


def test_a_problem_holds_an_observation_a_potential_a_constraint_or_nothing():
    for fine in (None, sd.lookahead.Observation(lambda z: z, 0.0, 1.0), lambda z, t: z.sum(1), sd.lookahead.constraints.CentreOfMass()):
        assert sd.Problem(fine).observation is fine
    for other in ({}, np.zeros(3), "above 3"):
        with pytest.raises(TypeError, match="expected an Observation, a potential, a constraint or None"):
            sd.Problem(other)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"noise": 1.0}, "config.tasks.half.noise is not known; .*did you mean noise_std"),
        ({"noise_std": "1"}, "config.tasks.half.noise_std = '1': expected float"),
        ({"noise_std": -1.0}, "config.tasks.half.noise_std = -1.0: expected a number of metres"),
        ({"steps": 2.5}, "config.tasks.half.steps = 2.5: expected int or None"),
        ({"steps": True}, "config.tasks.half.steps = True: expected int or None"),
        ({"noise_std": float("nan")}, "config.tasks.half.noise_std = nan: expected finite"),
    ],
)
def test_options_are_held_against_the_signature_of_the_task(options, said):
    config = toy_config()
    config.tasks.half = options
    with pytest.raises(sd.UserError, match=said):
        check_tasks(sd.domain.domain_type(config), config)


def test_options_of_base_classes_are_known_and_have_their_defaults():
    half = sd.domain.domain_type(toy_config()).task_types["half"]
    assert task_options(half) == {"noise_std": 0.1, "method": "pigdm", "strength": 1.0, "solver": "ddpm", "steps": 40, "grid": "logsnr"}


def test_a_task_of_one_s_own_is_named_by_its_class_and_says_what_it_lacks():
    config = toy_config()
    config.tasks.mine = {"kind": "tasks.test_base:Own"}
    with pytest.raises(sd.UserError, match="config.tasks.mine.needed is missing"):
        sd.get_domain(config)
    config.tasks.mine.needed = 3
    domain = sd.get_domain(complete(config))
    assert set(domain.tasks) == {"half", "mine"} and config.tasks.mine.fine == 0.5
    config.tasks.other = {}
    with pytest.raises(sd.UserError, match="config.tasks.other: is no task; expected one of"):
        sd.get_domain(config)
    config.tasks.other = {"kind": "numpy:zeros"}
    with pytest.raises(sd.UserError, match="config.tasks.other.kind: .*expected a class of sciddm.Task"):
        sd.get_domain(config)


def test_a_picture_without_answers_is_drawn_for_one_version_with_a_word():
    class Older(Own):
        def __init__(self):
            pass

        def plot(self, samples, problem):
            return plt.figure()

    with pytest.warns(DeprecationWarning, match="now takes the classical answers"):
        assert isinstance(draw_picture(Older(), None, None, {}), plt.Figure)
    plt.close("all")


def test_a_guide_that_returns_nothing_is_refused_and_not_left_out(toy_run):
    model = sd.load(toy_run)

    class Nothing(type(model.domain.tasks["half"])):
        def guide(self, denoiser, problem):
            super().guide(denoiser, problem)

    with pytest.raises(sd.UserError, match="the guide of Nothing gives a NoneType; expected a Denoiser: does it return one"):
        Nothing(model.domain).solve(model, 0, model.problem("half"), 2, steps=2)
