"""Molecules: get_config("smoke" | "base" | "tpu"). Executed as Python by --config configs/molecules.py:<variant>."""

from sciddm.config import as_variant, base_config


def get_config(variant: str = "smoke"):
    """smoke and base: heavy atoms of QM9 with bond orders, 4 and at most 90 minutes on 2 cores; tpu: all atoms, EDM's size."""
    config = base_config()
    config.domain = "domains.molecules"
    config.data.update(
        {
            "source": "",  # "qm9", or "smiles" for the set made without its package; "" is what is there
            "count": 0,  # of each of QM9's three tables, or of all from SMILES; 0 is all
            "most_atoms": 0,  # hydrogens counted, larger molecules are left out; 0 is none
            "heavy": True,  # hydrogens as a count of their atom, False: as atoms
            "pairs": True,  # bond orders are modelled, False: found from distances afterwards
            "scales": {
                "features": 0.8,
                "pairs": 0.8,
            },  # a kind or an order of 1 is 1 / scale beside positions of unit spread
            "conditions": ("", "", "property", "graph", "part"),  # what is given of each training molecule, in turn
            "property": "logP",  # that may be given: one of the data, "logP" and "QED" are RDKit's; "" for none
            "buckets": (),  # sizes that batches are padded to, () is the largest molecule for all
            "rotate": False,  # training molecules turned at random: for networks that are not equivariant
            "split_seed": 0,
        }
    )
    # config.tasks.<name> are the options of domains/molecules/tasks.py, kept.py and wishes.py, with their defaults:
    # `sciddm info --config configs/molecules.py` prints them.
    config.network.update({"kind": "egnn", "hidden": 128, "layers": 6, "radial": 12, "neighbours": 4.0})
    config.process.name = "edm"
    config.training.update({"cond_dropout": 0.0, "ema": 0.999})
    config.sampling.update({"solver": "ddpm", "steps": 100, "grid": "logsnr", "batch_size": 256})
    config.evaluation.update({"tasks": (), "problems": 8, "members": 8})
    return as_variant(config, variant, smoke=_smoke, base=_base, tpu=_tpu)


def _smoke(config):
    config.training.update({"steps": 20000, "wall_minutes": 4.0, "batch_size": 64, "learning_rate": 2e-3})


def _base(config):
    config.training.update({"steps": 200000, "wall_minutes": 85.0, "batch_size": 64, "learning_rate": 1.5e-3, "reference_steps": 17815})
    config.checkpoint.every = 1000


def _tpu(config):
    # Hoogeboom et al. 2022 (arXiv:2203.17003), section 5: 9 layers of 256 features, batches of 64, 3000 epochs of 100,000 molecules,
    # Adam at 1e-4, EMA .9999, 1000 steps.
    config.data.update({"heavy": False, "pairs": False, "conditions": ("",), "buckets": (12, 15, 18, 21, 25)})
    config.network = type(config.network)({"kind": "egnn", "hidden": 256, "layers": 9, "radial": 0, "neighbours": 1.0})
    config.training.update({"steps": 4_687_500, "batch_size": 64, "learning_rate": 1e-4, "ema": 0.9999})
    config.checkpoint.every = 5000
    config.sampling.update({"solver": "ddpm", "steps": 1000})
