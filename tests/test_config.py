import importlib
import json
from pathlib import Path

import pytest

from sciddm.config import base_config, flatten, resolved, restored, validate
from sciddm.errors import UserError


@pytest.mark.parametrize("domain", ["molecules", "pde", "weather"])
@pytest.mark.parametrize("variant", ["smoke", "base", "tpu"])
def test_every_shipped_config_is_valid_and_survives_json(variant, domain):
    config = importlib.import_module(f"configs.{domain}").get_config(variant)
    validate(config)
    again = restored(json.loads(json.dumps(resolved(config))))
    validate(again)
    assert resolved(again) == resolved(config)


def test_a_config_older_than_a_shared_key_gets_its_default():
    stored = resolved(importlib.import_module("configs.pde").get_config("smoke"))
    del stored["objective"]["levels"]
    config = restored(stored)
    validate(config)
    assert config.objective.levels == "sample" and config.objective.weighting == "edm"


@pytest.mark.parametrize(
    "key,value,message",
    [
        ("training.steps", 1.5, "expected int, got float"),
        ("training.steps", True, "expected int, got bool"),
        ("training.learning_rate", float("inf"), "finite"),
        ("training.ema", 1.0, "a decay"),
        ("sampling.solver", 3, "expected str"),
        ("evaluation.members", 1, "at least 2"),
    ],
)
def test_a_wrong_value_is_named(key, value, message):
    config = base_config()
    config.domain = "domains.pde"
    group, name = key.split(".")
    config[group] = config[group].copy_and_resolve_references().to_dict() | {name: value}
    with pytest.raises(UserError, match=f"config.{key} = .*{message}"):
        validate(config)


def test_unknown_and_missing_keys_are_named_with_the_near_match():
    config = base_config()
    with pytest.raises(UserError, match="config.domain is empty"):
        validate(config)
    config.domain = "domains.pde"
    config.training.learning_rat = 1.0
    with pytest.raises(UserError, match="learning_rat is not known; did you mean config.training.learning_rate"):
        validate(config)
    del config.training.learning_rat
    del config.training.ema
    with pytest.raises(UserError, match="config.training.ema is missing"):
        validate(config)


OF_VERSION_1 = {
    "pde": {
        "tasks.inverse.method": "pigdm(iterations=7)", "tasks.inverse.solver": None, "tasks.inverse.steps": None,
        "tasks.forward.grid": None,
        "tasks.forward.points": 0.1, "tasks.superresolve.factor": 2, "tasks.superresolve.noise_std": 0.02, "network.kind": "unet",
        "network.channels": (16, 16), "tasks.generate.steps": None,
    },
    "weather": {
        "tasks.fill.method": "dps", "tasks.fill.noise_dbz": 0.5, "tasks.fill.steps": 40, "tasks.assimilate.gauges": 0.1,
        "tasks.interpolate.every": 4, "tasks.wide.size": 48, "tasks.wide.periodic": True, "tasks.rollout.windows": 2,
        "tasks.extreme.threshold": 5.0, "tasks.extreme.steps": 40, "tasks.nowcast.steps": None,
    },
    "molecules": {
        "data.conditions": ("", "", "property", "graph", "part"), "tasks.scaffold.kept": 0.5, "tasks.conformers.count": 3,
        "tasks.property.scale": 2.0, "tasks.property.steps": None, "tasks.linker.solver": "ddpm", "tasks.count.what": "N",
        "tasks.count.num_particles": 16, "tasks.repair.clash": 0.5, "tasks.generate.steps": None,
    },
}  # fmt: skip


@pytest.mark.parametrize("domain", OF_VERSION_1)
def test_a_config_of_version_1_is_brought_up_to_date_with_a_word_and_stays_so(domain, capsys):
    stored = json.loads((Path(__file__).parent / "configs_of_version_1" / f"{domain}.json").read_text())
    config = restored(stored)
    assert capsys.readouterr().err == "config of version 1: brought to version 2\n"
    validate(config)
    flat = flatten(config.to_dict())
    assert {key: flat[key] for key in OF_VERSION_1[domain]} == OF_VERSION_1[domain]
    for old in ("data.guidance", "data.tasks", "data.told", "data.wide", "data.extreme"):
        assert not any(key == old or key.startswith(old + ".") for key in flat)
    assert resolved(restored(json.loads(json.dumps(resolved(config))))) == resolved(config)
    assert capsys.readouterr().err == ""


def test_a_config_of_a_later_version_is_refused():
    stored = resolved(importlib.import_module("configs.pde").get_config("smoke")) | {"version": 99}
    with pytest.raises(UserError, match="of version 99, this sciddm knows 2; install a newer"):
        restored(stored)
