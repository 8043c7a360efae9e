"""--config.key=value means the same in every command."""

import pytest
import toy_domain  # noqa: F401  which puts the example on the path

import sciddm as sd
from sciddm.overrides import as_changes, change, describe, fixed_by_training, load_config, parse_value

START = "from configs.pde import get_config as plain\n\n\ndef get_config(variant=''):\n    config = plain('smoke')\n"


@pytest.mark.parametrize(
    "text, before, value",
    [
        ("(16, 32)", (1,), (16, 32)), ("[16,32]", (1,), (16, 32)), ("16,32", (1,), (16, 32)), ("16", (1,), (16,)), ("()", (1,), ()),
        ("('nowcast',)", (), ("nowcast",)), ("nowcast", (), ("nowcast",)), ("forward, inverse", (), ("forward", "inverse")),
        ("1e-3", 0.1, 1e-3), ("2", 0.1, 2.0), ("3", 5, 3), ("1e-3", "word", "1e-3"), ("3", "word", "3"), ("null", 5, None),
        ("None", "a", None),
        ("true", False, True), ("False", True, False), ("20", None, 20), ("ddpm", None, "ddpm"), ("0.5", None, 0.5),
        ("mmps(iterations=3)", "dps", "mmps(iterations=3)"), ("", "word", ""),
    ],
)  # fmt: skip
def test_a_value_is_read_as_its_key_is_meant(text, before, value):
    found = parse_value(text, before, "tasks.mine.option")
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("text, before", [("1.5", 3), ("many", 3), ("yes", True), ("1", True), ("(1, 2)", 3), ("word", 0.1), ("true", 3)])
def test_a_value_of_another_kind_is_refused(text, before):
    with pytest.raises(sd.UserError, match=f"config.key = .*: expected {type(before).__name__}, got"):
        parse_value(text, before, "key")


@pytest.fixture
def config():
    return load_config("configs/pde.py:smoke", ())


def test_another_process_or_network_takes_the_options_of_the_former_one_away(config):
    items = ("network.depth=2", "network.kind=dit", "process.name=vp", "process.beta_max=15")
    change(config, as_changes([f"--config.{item}" for item in items]))
    assert config.network.to_dict() == {"kind": "dit", "depth": 2} and config.process.to_dict() == {"name": "vp", "beta_max": 15.0}
    for item, said in (
        ("network.channels=(8,)", "is an option of network 'unet', this one is 'dit'"),
        ("process.sigma_max=3", "is an option of process 've' and 'edm', this one is 'vp'"),
    ):
        with pytest.raises(sd.UserError, match=said):
            change(config, as_changes([f"--config.{item}"]))


def test_tasks_are_those_of_the_config_as_it_ends_and_one_s_own_is_named(config):
    items = ("tasks.half.noise_std=0.2", "tasks.half.kind=points:Half", "data.equation=burgers")
    change(config, as_changes([f"--config.{item}" for item in items]))
    assert set(config.tasks) == {"superresolve", "generate", "half"}
    assert config.tasks.half.noise_std == 0.2 and config.tasks.half.steps == 40
    with pytest.raises(sd.UserError, match="config.tasks.forward.steps: no such key"):
        change(config, as_changes(["--config.tasks.forward.steps=3"]))
    other = load_config("configs/pde.py:smoke", ())
    with pytest.raises(sd.UserError, match="config.tasks.forward.steps: this config has no such task"):
        change(other, as_changes(["--config.tasks.forward.steps=3", "--config.data.equation=burgers"]))


def test_keys_of_the_version_before_are_named_as_they_are_now(config):
    for key, now in (
        ("points", "config.tasks.forward.points and config.tasks.inverse.points"), ("factor", "config.tasks.superresolve.factor"),
        ("steps", "config.tasks.forward.steps and config.tasks.inverse.steps"),
    ):  # fmt: skip
        with pytest.raises(sd.UserError, match=f"config.data.guidance.{key}: no such key in .*; it is now {now}"):
            change(config, as_changes([f"--config.data.guidance.{key}=3"]))


def test_what_info_prints_can_be_typed(config):
    import shlex

    again = load_config("configs/pde.py:base", ())
    change(again, as_changes(shlex.split(describe(config))))
    assert describe(again) == describe(config)
    assert "--config.process.sigma_max=80.0" in describe(config) and "--config.network.features=128" in describe(config)


def test_a_package_beside_the_config_is_found(tmp_path):
    (tmp_path / "beside_it.py").write_text("from points import Points\n\n\nclass Own(Points):\n    pass\n")
    (tmp_path / "own.py").write_text(
        "from sciddm.config import base_config, complete\n\n\ndef get_config(variant=''):\n    config = base_config()\n"
        "    config.domain = 'beside_it:Own'\n    config.data.count = 64\n    return complete(config)\n"
    )
    config = load_config(str(tmp_path / "own.py"), ["--config.data.count=32"])
    assert sd.get_domain(config).name == "points" and config.data.count == 32 and "half" in config.tasks


def test_what_training_has_fixed_stays_and_where_data_lie_may_change(config):
    typed = [f"--config.{item}" for item in ("network.features=128", "process.sigma_max=80", "data.cache=other")]
    again = load_config("configs/pde.py:smoke", typed)
    assert fixed_by_training(again, config) is None  # defaults that were typed
    others = {"data.equation": "poisson", "denoiser.prediction": "eps", "seed": 5, "network.heads": 2, "process.sigma_max": 50.0}
    for key, value in others.items():
        other = load_config("configs/pde.py:smoke", [f"--config.{key}={value}"])
        assert fixed_by_training(other, config)[0] == key and fixed_by_training(other, config)[2] == value
    assert fixed_by_training(load_config("configs/pde.py:base", ()), config)[0] == "data.count"


def test_a_task_keeps_its_options_where_its_kind_is_named_again_and_required_ones_can_be_set(config):
    change(config, {"tasks.inverse.points": 0.7})
    change(config, as_changes(["--config.tasks.inverse.kind=inverse"]))
    assert config.tasks.inverse.points == 0.7
    change(config, as_changes(["--config.tasks.mine.kind=tasks.test_base:Own", "--config.tasks.mine.needed=2"]))
    assert config.tasks.mine.needed == 2


@pytest.mark.parametrize(
    "text, said",
    [
        ("def get_config(variant=''):\n    return {}\n", "get_config gives a dict"),
        ("import sys\nsys.exit(3)\n", r"SystemExit: 3 \(own.py, line 2\)"),
        ("def get_config(variant=''):\n    return undefined\n", r"NameError: .*\(own.py, line 2\)"),
        ("def get_config(:\n", r"SyntaxError: .*\(own.py, line 1\)"),
        (START + "    config.data = None\n    return config\n", "config.data = None: expected a group of keys"),
        (START + "    config.trainin = {'steps': 3}\n    return config\n", "config.trainin is not known; did you mean config.training"),
        (START + "    config.tasks.mine = 'a:B'\n    return config\n", "config.tasks.mine = 'a:B': expected options"),
        (START + "    del config.data.equation\n    return config\n", "config: .*equation"),
    ],
)
def test_what_is_wrong_in_a_config_file_is_one_line_with_its_place(text, said, tmp_path):
    (tmp_path / "own.py").write_text(text)
    with pytest.raises(sd.UserError, match=said):
        load_config(str(tmp_path / "own.py"), ())
