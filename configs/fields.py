"""Your own fields: get_config("smoke" | "base" | "tpu"). Executed as Python by --config configs/fields.py:<variant>."""

import ml_collections

from sciddm.config import as_variant, base_config


def get_config(variant: str = "smoke"):
    """smoke: minutes on 2 cores; base: at most 90 minutes; tpu: a pod. All of them want config.data.path, all else is found in the file."""
    config = base_config()
    config.domain = "domains.fields"
    config.data.update(
        {
            "variables": (),  # generated; (): all of the file that lie on the same dimensions
            "condition": (),  # variables that are given with every sample
            "static": (),  # fields without samples and times that are given; (): all of the file
            "sample_dim": "",  # the dimension that counts samples, "" where the file says so
            "time_dim": "",  # the dimension of time, "" where the file says so
            "window": 1,  # frames of a sample; 1: each time is a sample
            "past": ml_collections.config_dict.placeholder(int),  # frames that a forecast is given; null: half of the window
            "stride": 1,  # times from one training window to the next
            "periodic": (),  # dimensions that wrap around, such as ("lon",)
            "crop": (),  # ("lat=20:60",): by coordinate, or by index where there is none
            "coarsen": (),  # ("y=2", "x=2"): means over blocks of so many points
            "transforms": (),  # ("q=log(offset=0.1)",): log, asinh, logit, cbrt
            "vectors": (),  # (("u", "v"),): components along x, y and z
            "augment": (),  # dimensions along which samples may be mirrored
            "noise": "white",  # or "spectral": with the data's own spectrum
            "held_out": 0.1,  # share of the samples or times that are never trained on; from 1 on how many
            "most_missing": 0.5,  # windows that lack a larger share of their values are left out
            "memory": 2.0,  # GB that are kept in memory; larger data are read window by window
        }
    )
    # config.tasks.<name> are the options of domains/fields/tasks.py, with their defaults: `sciddm info --config configs/fields.py`.
    config.network.update({"kind": "unet", "channels": (48, 96), "blocks": 1, "patch": 2, "attention_levels": (1,), "heads": 4})
    config.training.batch_size = 16
    config.evaluation.tasks = ("observe", "superresolve")
    return as_variant(config, variant, smoke=_smoke, base=_base, tpu=_tpu)


def _smoke(config):
    config.training.update({"steps": 20000, "wall_minutes": 5.0, "learning_rate": 1.5e-3})


def _base(config):
    config.training.update({"steps": 100000, "wall_minutes": 60.0, "learning_rate": 1e-3, "ema": 0.9995, "reference_steps": 2527})
    config.checkpoint.every = 2000


def _tpu(config):
    config.network.update({"channels": (128, 256, 256, 512), "blocks": 2, "attention_levels": (2, 3), "heads": 8, "features": 512})
    config.training.update({"steps": 300000, "batch_size": 512, "learning_rate": 3e-4, "warmup": 2000, "ema": 0.9999})
    config.checkpoint.every = 5000
    config.sampling.steps = 50
