import importlib
import json

import pytest

from sciddm.config import base_config, resolved, restored, validate
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
