"""Sound: get_config("smoke" | "notes" | "base" | "tpu"). Executed as Python by --config configs/audio.py:<variant>."""

from sciddm.config import as_variant, base_config


def get_config(variant: str = "smoke"):
    """smoke: one second of speech at 8 kHz, 5 minutes on 2 cores; notes: the same of made melodies, for `separate`; base: speech, at most
    90 minutes; tpu: two seconds at 16 kHz, a pod."""
    config = base_config()
    config.domain = "domains.audio"
    config.data.update(
        {
            "source": "",  # "": the sounds of data.path, or speech that comes with the package; "notes": melodies that are made
            "rate": 8000,  # Hz, of what the network hears; files of another are resampled
            "bins": 128,  # frequencies of the transform, and samples from one frame to the next
            "frames": 64,  # of what the network hears at once: frames * bins / rate seconds
            "held_out": 0.1,  # share of the files that are never trained on, or how many
            "classes": (),  # names of folders in data.path, such as speakers, whose sounds the model is to tell apart
            "texts": "",  # "beside": NAME.txt beside each sound says what it is, in words; or the name of a table in data.path
            "clip": 3.0,  # seconds of the held-out clips that tasks are tried on
            "windows": 8192,  # different training windows with their damage; 0: each is another, with a first guess to be computed anew
            "speed": 0.05,  # training windows are played faster or slower by up to this share, in either polarity
        }
    )
    config.network.update({"kind": "spectral", "channels": (64, 96, 96), "blocks": 1, "patch": 4, "attention_levels": (1, 2), "heads": 4})
    config.process.name = "edm"
    config.objective.times = "logit-normal"  # noisier than of images: what is heard takes the place of little noise
    config.denoiser.sigma_data = 1.0  # which the network takes for granted where it compares x with what is heard
    config.training.cond_dropout = 0.15
    return as_variant(config, variant, smoke=_smoke, notes=_notes, base=_base, tpu=_tpu)


def _smoke(config):
    config.data.windows = 1024  # each takes a hundredth of a second to be damaged and guessed
    config.training.update({"steps": 20000, "wall_minutes": 4.2, "batch_size": 16, "learning_rate": 1.5e-3})


def _notes(config):
    _smoke(config)
    config.data.source = "notes"


def _base(config):
    config.training.update({"steps": 100000, "wall_minutes": 85.0, "batch_size": 16, "learning_rate": 1e-3, "ema": 0.999})
    config.checkpoint.every = 500


def _tpu(config):
    config.data.update({"rate": 16000, "bins": 256, "frames": 128, "windows": 0})
    config.network.update({"channels": (192, 384, 512), "blocks": 2, "heads": 8, "features": 512})
    config.training.update({"steps": 300000, "batch_size": 256, "learning_rate": 3e-4, "warmup": 2000, "ema": 0.9999})
    config.checkpoint.every = 5000
    config.sampling.steps = 50
