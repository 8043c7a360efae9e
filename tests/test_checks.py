"""Everything wrong in a config is refused by name before data are made."""

import pytest

import sciddm as sd
from sciddm import checks
from sciddm.config import validate
from sciddm.overrides import load_config

WRONG = {
    "pde": {
        "sampling.solver=ddmp": "config.sampling.solver: solver 'ddmp' is none of .*did you mean ddpm",
        "sampling.grid=foo": "config.sampling.grid: grid 'foo' is none of",
        "evaluation.tasks=foo": "config.evaluation.tasks: 'foo' is no task",
        "network.blocks=-1": "config.network: blocks = -1: expected at least 1",
        "network.channels=(32,0)": r"config.network: channels = \(32, 0\): expected at least 1",
        "network.patch=3": "config.network, config.denoiser: x of shape .*every size a multiple of",
        "network.kind=unit": "config.network.kind = 'unit': .*did you mean unet",
        "tasks.forward.points=2": "config.tasks.forward.points = 2.0: expected a share",
        "tasks.inverse.points=-1": "config.tasks.inverse.points = -1.0: expected a share",
        "tasks.inverse.method=mmp": "config.tasks.inverse.method: guide 'mmp' is none of .*did you mean mmps",
        "tasks.inverse.noise_std=0": "config.tasks.inverse.noise_std = 0.0: expected a number above 0",
        "tasks.inverse.solver=ddmp": "config.tasks.inverse.solver: solver 'ddmp'",
        "tasks.inverse.steps=0": "config.tasks.inverse.steps = 0: expected 1 to 1000000",
        "tasks.superresolve.factor=5": "config.tasks.superresolve.factor = 5: .*a divisor of the grid's .32, 32.",
        "training.batch_size=5000": "config.training.batch_size = 5000: .*leaves 4032 training samples",
        "data.held_out=0": "config.data.held_out = 0: expected at least 1",
        "data.equation=darci": "config.data.equation = 'darci': .*did you mean darcy",
        "process.sigma_max=-1": "config.process: with sigma_max = -1.0 the log signal-to-noise ratio does not fall",
        "process.sigma_max=0.5": "config.process: with sigma_max = 0.5 the log signal-to-noise ratio at t = 1 is 1.4",
        "denoiser.prediction=noise": "config.network, config.denoiser: prediction 'noise' is none of",
        "version=1": "config.version is the layout of the config",
        "network.features=1": "config.network: features = 1: expected at least 2",
        "network.channels=16.5,32": "config.network: channels = .*expected whole numbers",
        "network.concat_channels=3": "no such key .*it is given by the domain",
        "objective.levels=frame": "config.objective does not go with this network and these samples",
        "sampling.solver=ddim(eta=7.0)": "config.sampling.solver: eta = 7.0: expected 0 to 1",
        "sampling.solver=diffrax:ImplicitEuler": "config.sampling.solver: ImplicitEuler is implicit",
        "sampling.grid=edm(rho=0.0)": "config.sampling.grid: ",
        "sampling.grid=nothing.json": "config.sampling.grid: .*nothing.json",
        "tasks.inverse.method=mmps(iterations=0)": "config.tasks.inverse.method: iterations = 0",
        "tasks.inverse.method=ddrm": "config.tasks.inverse.solver = 'ddpm': expected None, since ddrm samples in its own way",
        "tasks./tmp/evil.kind=generate": "'/tmp/evil' is no name of a task",
        "denoiser.sigma_data=True": "config.denoiser.sigma_data = True: expected a number, or null",
        "data.resolution=null": "config.data.resolution = None: expected int",
        "evaluation.tasks=[['inverse']]": "config.evaluation.tasks: ",
        "domain=domains.weather": "config: .*size.*take a config of this domain",
        "seed=9223372036854775808": "config.seed = 9223372036854775808: expected 0 to",
        "objective.weighting=emd": "config.objective: .*'emd' is none of",
    },
    "fields": {
        "data.window=0": "config.data.window = 0.*expected at least 1",
        "data.past=1": "config.data.past = 1: expected 0 to 0, fewer than config.data.window",
        "data.held_out=0": "config.data.held_out = 0.0: expected a number of samples",
        "data.noise=pink": "config.data.noise = 'pink': expected 'white' or 'spectral'",
        "data.crop=lat": "config.data.crop: 'lat': expected NAME=VALUE",
        "data.transforms=q=lgo": "config.data.transforms: q=lgo: .*did you mean log",
        "data.vectors=((1,2),)": "config.data.vectors = .*expected tuples of names",
        "tasks.observe.sensors=0": "config.tasks.observe.sensors = 0: expected at least 1",
        "tasks.observe.noise=0": "config.tasks.observe.noise = 0.0: expected a share",
        "tasks.fill.share=1": "config.tasks.fill.share = 1.0: expected a share",
        "tasks.superresolve.factor=1": "config.tasks.superresolve.factor = 1: expected 2 or more",
        "tasks.forecast.steps=9": "no such task|no such key",
        "network.width=0": "config.network: width = 0: expected at least 1",
        "network.kind=space-time": "frames",
    },
    "weather": {
        "data.past=0": "config.data.past = 0",
        "data.frames=10": "config.data.frames = 10: expected at least 16",
        "data.outages=1.5": "config.data.outages = 1.5: expected a share",
        "tasks.extreme.solver=unipc2": "config.tasks.extreme.solver = 'unipc2': expected one whose steps have a density",
        "tasks.extreme.twist=foo": "config.tasks.extreme.twist = 'foo': expected one of",
        "tasks.extreme.solver=ddim": "config.tasks.extreme.solver = 'ddim': expected one whose steps have a density",
        "tasks.wide.solver=True": "config.tasks.wide.solver",
        "data.crop=a,b,c,d": "config.data.crop = .*expected whole numbers",
        "tasks.rollout.windows=0": "config.tasks.rollout.windows = 0",
    },
    "molecules": {
        "data.conditions=grph": "config.data.conditions = .*'grph' is none of",
        "data.buckets=5.5": "config.data.buckets = .*expected sizes, whole numbers",
        "data.scales.features=1e-40": "config.data.scales.features = 1e-40: expected 0.001 to 1000",
        "data.source=qm8": "config.data.source = 'qm8'",
        "tasks.property.method=clasifier-free": "config.tasks.property.method = .*did you mean classifier-free",
        "tasks.scaffold.kept=1.0": "config.tasks.scaffold.kept = 1.0",
        "network.layers=0": "config.network: layers = 0: expected at least 1",
    },
}


@pytest.mark.parametrize("domain, item", [(domain, item) for domain, items in WRONG.items() for item in items])
def test_what_is_wrong_is_named_before_anything_is_made(domain, item):
    with pytest.raises(sd.UserError, match=WRONG[domain][item]):
        validate(load_config(f"configs/{domain}.py:smoke", [f"--config.{item}"]))


def test_what_a_python_config_says_under_an_old_name_is_refused_with_the_new_one():
    config = load_config("configs/weather.py:smoke", ())
    with config.unlocked():
        config.data.wide = 96
    with pytest.raises(sd.UserError, match="config.data.wide is of an older version; it is now config.tasks.wide.size"):
        validate(config)


def test_a_config_that_was_fine_says_nothing_of_one_that_differs_in_any_part(monkeypatch):
    looked = []
    plain = checks.check_denoiser
    monkeypatch.setattr(checks, "check_denoiser", lambda *arguments: looked.append(1) or plain(*arguments))
    config = load_config("configs/pde.py:smoke", ["--config.network.features=34"])
    for steps in (10, 20):  # which is no part that networks and losses hang on
        config.training.steps = steps
        checks.check_parts(config)
    assert len(looked) == 1
    for item in ("network.heads=5", "tasks.inverse.points=2", "training.batch_size=5000", "sampling.grid=foo"):
        with pytest.raises(sd.UserError):
            checks.check_parts(load_config("configs/pde.py:smoke", ["--config.network.features=34", f"--config.{item}"]))
