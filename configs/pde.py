"""PDE fields: get_config("smoke" | "base" | "tpu"). Executed as Python by --config configs/pde.py:<variant>."""

from sciddm.config import as_variant, base_config


def get_config(variant: str = "smoke"):
    """smoke: Darcy 32x32, minutes on 2 cores; base: Darcy 64x64, at most 90 minutes; tpu: Darcy 128x128 on a pod."""
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
        }
    )
    # config.tasks.<name> are the options of domains/pde/tasks.py, with their defaults: `sciddm info --config configs/pde.py` prints them.
    config.network.update(
        {"kind": "unet", "channels": (48, 96), "blocks": 1, "patch": 2, "attention_levels": (1,), "heads": 4}
    )
    config.process.name = "edm"
    config.evaluation.tasks = ("forward", "inverse")
    return as_variant(config, variant, smoke=_smoke, base=_base, tpu=_tpu)


def _smoke(config):
    config.training.update({"steps": 20000, "wall_minutes": 4.2, "batch_size": 16, "learning_rate": 1.5e-3, "reference_steps": 1258})


def _base(config):
    config.data.update({"resolution": 64, "count": 16384})
    config.network.update({"channels": (48, 96, 96), "attention_levels": (2,)})
    config.training.update(
        {"steps": 100000, "wall_minutes": 60.0, "batch_size": 16, "learning_rate": 1e-3, "ema": 0.9995, "reference_steps": 5854}
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
