"""PDE fields: get_config("smoke" | "base" | "tpu"). Executed as Python by --config configs/pde.py:<variant>."""

from sciddm.config import base_config


def get_config(variant: str = "smoke"):
    """smoke: Darcy 32x32, minutes on 2 cores; base: the same, at most 90 minutes; tpu: Darcy 128x128 on a pod."""
    config = base_config()
    config.domain = "domains.pde"
    config.data.update(
        {
            "equation": "darcy",  # poisson, helmholtz, burgers, kuramoto-sivashinsky, navier-stokes
            "resolution": 32,
            "count": 4096,
            "held_out": 64,  # the last samples, never trained on
            "names": {},  # of your own file: {"u": "its name in it"}
            "units": {},  # of your own file: {"u": "Pa"}
            "guidance": {
                "method": "mmps",  # or pigdm, diffpir, daps, ddnm, dps, ...: domains/pde/tasks.py:GUIDES
                "points": 0.03,  # share of one side that is seen
                "noise_std": 0.05,  # of the normalised observation
                "iterations": 3,  # of conjugate gradients
                "solver": "ddpm",  # "" leaves it to the method, as published; so do steps 0 and grid ""
                "steps": 40,
                "grid": "logsnr",
                "factor": 4,  # of superresolve
                "residual_weight": 0.0,
            },
        }
    )
    config.network.update({"channels": (48, 96), "blocks": 1, "patch": 2, "attention_levels": (1,), "heads": 4})
    config.process.name = "edm"
    config.evaluation.tasks = ("forward", "inverse")
    variants = {"smoke": _smoke, "base": _base, "tpu": _tpu}
    if variant not in variants:
        raise ValueError(f"variant {variant!r} is none of {sorted(variants)}")
    variants[variant](config)
    return config


def _smoke(config):
    config.training.update({"steps": 20000, "wall_minutes": 4.2, "batch_size": 16, "learning_rate": 1.5e-3})


def _base(config):
    config.data.count = 16384
    config.training.update(
        {"steps": 100000, "wall_minutes": 60.0, "batch_size": 16, "learning_rate": 1e-3, "ema": 0.9995}
    )
    config.checkpoint.every = 2000


def _tpu(config):
    config.data.update({"resolution": 128, "count": 50048})
    config.network.update(
        {"channels": (128, 256, 256, 512), "blocks": 2, "attention_levels": (2, 3), "heads": 8, "features": 512}
    )
    config.training.update({"steps": 300000, "batch_size": 512, "learning_rate": 3e-4, "warmup": 2000, "ema": 0.9999})
    config.checkpoint.every = 5000
    config.sampling.steps = 50
