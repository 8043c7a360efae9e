"""Weather nowcasting: get_config("smoke" | "base" | "tpu"). Executed as Python by --config configs/weather.py:<variant>."""

from sciddm.config import as_variant, base_config


def get_config(variant: str = "smoke"):
    """smoke: 64 x 64 pixels of 2 km, 4 -> 12 frames, 5 minutes on 2 cores; base: the same, at most 90 minutes; tpu: 128 x 128 on a pod."""
    config = base_config()
    config.domain = "domains.weather"
    config.data.update(
        {
            "variable": "",  # of your own file, where its names don't tell
            "units": "",  # of your own file, where it states none: "dBZ", "mm/h", ...
            "missing": (),  # of your own file, codes for missing that it doesn't declare, as it has them: 255, ...
            "valid": (),  # of your own file: (lowest, highest) in its units, what lies outside is missing
            "absent_chunks": "refuse",  # of your own zarr store, or "fill": chunks that are not there hold its fill value
            "crop": (),  # of your own file: (y0, x0, height, width) in pixels, all where empty
            "size": 64,  # pixels a side of what the network sees
            "past": 4,
            "future": 12,
            "stride": 1,  # frames between two training windows
            "events": 1024,  # of the made rain; no say in your own data
            "frames": 24,  # of each
            "held_out": 64.0,  # events never trained on, the last in time; below 1 their share
            "most_missing": 0.1,  # windows whose pixels lack more of their number are left out
            "augment": True,  # turned and mirrored; False where the wind has a direction to be learned
            "outages": 0.1,  # share of training windows with a hole in their past
        }
    )
    # config.tasks.<name> are the options of domains/weather/tasks.py and extended.py, with their defaults:
    # `sciddm info --config configs/weather.py` prints them.
    config.network.update(
        {
            "kind": "nowcaster",
            "channels": (48, 96, 128),
            "blocks": 1,
            "patch": 2,
            "attention_levels": (1, 2),
            "heads": 4,
        }
    )
    config.process.name = "edm"
    config.training.cond_dropout = 0.1
    config.evaluation.update({"tasks": ("nowcast",), "members": 20})
    return as_variant(config, variant, smoke=_smoke, base=_base, tpu=_tpu)


def _smoke(config):
    config.training.update({"steps": 20000, "wall_minutes": 4.2, "batch_size": 16, "learning_rate": 1.5e-3})


def _base(config):
    config.data.events = 4096
    config.training.update(
        {"steps": 100000, "wall_minutes": 85.0, "batch_size": 16, "learning_rate": 1.5e-3, "ema": 0.999, "reference_steps": 2527}
    )
    config.checkpoint.every = 500


def _tpu(config):
    config.data.update({"size": 128, "events": 20480, "frames": 36})
    config.network = type(config.network)(
        {"kind": "space-time", "dim": 512, "depth": 12, "heads": 8, "patch": 8, "mlp_ratio": 4, "features": 512}
    )
    config.training.update({"steps": 300000, "batch_size": 256, "learning_rate": 3e-4, "warmup": 2000, "ema": 0.9999})
    config.checkpoint.every = 5000
    config.sampling.steps = 20
