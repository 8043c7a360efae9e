"""Configs that are odd: files that are none, keys and values that can't be meant."""

from case import done, refused
from core_commands import no_run, of_config, smoke, toy, train
from runs import copied

CONFIGS = {
    "calls sys.exit(0)": "import sys\nsys.exit(0)\n",
    "get_config calls sys.exit(0)": "import sys\ndef get_config():\n    sys.exit(0)\n",
    "os._exit is not to be caught, but quit is": "def get_config():\n    quit()\n",
    "gives None": "def get_config():\n    return None\n",
    "gives a dict": "def get_config():\n    return {'domain': 'domains.pde'}\n",
    "is empty": "",
    "has no get_config": "x = 1\n",
    "get_config is no function": "get_config = 3\n",
    "get_config takes two arguments": "def get_config(a, b):\n    return a\n",
    "is no Python": "def get_config(:\n",
    "holds a null byte": "x = '\0'\n",
    "imports what is not there": "import not_there_at_all\n",
    "raises KeyboardInterrupt of its own": "raise SystemError('x')\n",
    "gives another library's object": "def get_config():\n    import datetime\n    return datetime.datetime.now()\n",
    "recurs for ever": "def get_config():\n    return get_config()\n",
    "gives a generator": "def get_config():\n    yield 1\n",
}
DOMAIN_WORDS = (
    "../x",
    "",
    "a b",
    "domains",
    "domains.",
    ".pde",
    "os",
    "os.path",
    "domains.pde:Nothing",
    "domains.pde:",
    ":",
    "/etc/passwd",
    "json:loads",
    "domains.not_there",
    "__main__",
    "é",
    "domains..pde",
)
NETWORK = (
    "channels=(0,)",
    "channels=()",
    "channels=(-4,)",
    "channels=(8,0)",
    "channels=abc",
    "channels=(1.5,)",
    "features=0",
    "features=-1",
    "blocks=0",
    "blocks=-1",
    "kind=nothing",
    "kind=os:system",
    "patch=0",
    "heads=0",
)
TRAINING = (
    "steps=0",
    "steps=-1",
    "steps=1.5",
    "steps=nan",
    "batch_size=0",
    "batch_size=100000000",
    "learning_rate=0",
    "learning_rate=nan",
    "learning_rate=-1",
    "ema=1",
    "ema=1.5",
    "warmup=-1",
    "grad_clip=0",
    "cond_dropout=2",
    "log_every=0",
    "wall_minutes=0",
    "wall_minutes=-1",
    "wall_minutes=nan",
    "accumulate=0",
    "accumulate=3",
    "precision=float16",
    "held_out=-1",
    "stepz=3",
    "steps",
    "reference_steps=0",
)

CASES = [
    # configs
    *[
        refused("nonsense", f"a config that {name}", of_config(text), "odd.py", check=no_run)
        for name, text in CONFIGS.items()
    ],
    refused("words", "a config that is a folder", lambda folder: ["train", "--config", ".", "--workdir", "run"]),
    refused(
        "words",
        "a config that is not there",
        lambda folder: ["train", "--config", "nope.py", "--workdir", "run"],
        "nope.py",
    ),
    refused(
        "words", "an empty name of a config", lambda folder: ["train", "--config", "", "--workdir", "run"], "config"
    ),
    refused(
        "words",
        "a variant that is not there",
        lambda folder: ["train", "--config", "pde:smok", "--workdir", "run"],
        "smoke",
    ),
    *[
        refused("traceback", f"config.domain = {word!r}", train(f"--config.domain={word}"), "domain", check=no_run)
        for word in DOMAIN_WORDS
    ],
    *[
        refused(
            "traceback",
            f"config.network.{text} of pde",
            smoke("pde", f"--config.network.{text}"),
            "network",
            check=no_run,
        )
        for text in NETWORK
    ],
    *[
        refused(
            "traceback",
            f"config.network.{text} of molecules",
            smoke("molecules", f"--config.network.{text}"),
            "network",
            check=no_run,
        )
        for text in ("hidden=0", "hidden=-1", "layers=0", "layers=-1", "heads=0", "kind=unet")
    ],  # fmt: skip
    *[
        refused("nonsense", f"config.training.{text}", train(f"--config.training.{text}"), "training", check=no_run)
        for text in TRAINING
    ],
    *[
        refused("nonsense", f"config.seed = {text}", train(f"--config.seed={text}"), "seed", check=no_run)
        for text in ("-1", "4294967296", "18446744073709551616", "1.5", "x", "None", "True", "9" * 100)
    ],  # fmt: skip
    *[
        refused("nonsense", f"an argument {text!r}", train(text), check=no_run)
        for text in (
            "--config.seed",
            "--config.=1",
            "--config.training=3",
            "--config.network=",
            "--config.nope.x=1",
            "--config.tasks.half.nope=1",
            "seed=1",
            "--confg.seed=1",
            "--config.training.steps=",
            "--config.data.cache=",
            "--config.process.name=nope",
            "--config.mesh.data=0",
            "--config.mesh.data=-2",
            "--config.mesh.fsdp=3",
            "--config.sampling.solver=nope",
            "--config.sampling.steps=0",
            "--config.sampling.grid=nope",
            "--config.sampling.grid=nope.json",
            "--config.checkpoint.every=0",
            "--config.checkpoint.keep=0",
            "--config.version=3",
            "--config.evaluation.tasks=nope",
            "--config.evaluation.members=1",
            "--config.evaluation.problems=0",
            "--config.objective.levels=x",
            "--config.denoiser.prediction=x",
            "--config.denoiser.sigma_data=0",
            "--config.objective.times=x",
            "--config.objective.weighting=x",
        )
    ],  # fmt: skip
]


def stored_config(folder):
    workdir = copied("toy", folder)
    return ["train", "--config", workdir / "config.json", "--workdir", folder / "new", "--quiet"]


def with_colon(folder):
    (folder / "a:b").mkdir()
    return ["train", "--config", toy(folder, "a:b/toy.py"), "--workdir", "run", "--quiet"]


def trains_here(folder, said):
    assert any((folder / name / "checkpoints").exists() for name in ("run", "new")), "no run"


CASES += [
    done("words", "train from a run's config.json", stored_config, check=trains_here),
    done("words", "a colon in the name of a config's folder", with_colon, check=trains_here),
]
