"""README and docs as the tests run them: blocks of code in order, in a folder with small runs and files of the names that pages use.

Trainings are read and checked as typed (keys, network, tasks; files of one's own are read), and then a run of four steps that the tests
share stands in their workdir. Counts, steps and particles are lowered to those of SMALLER. All else runs as it is written.
"""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import xarray as xr
from own_rain import NOW, latlon, storm, times
from rdkit import Chem
from small_fields import write_small
from small_molecules import embedded
from small_sounds import write_sounds

import sciddm as sd
from sciddm.cli import main
from sciddm.config import validate

ROOT = Path(__file__).parent.parent
TAKEN_IN = ("docs/readme.md", "docs/contributing.md", "docs/notebooks.md", "docs/results/")  # by docs/conf.py, for the site
FOUND = sorted(str(path.relative_to(ROOT)) for folder in ("docs", "domains", "notebooks") for path in (ROOT / folder).rglob("*.md"))
PAGES = ["README.md", *(page for page in FOUND if not page.startswith(TAKEN_IN))]

# the workdirs that pages name, and the small run that stands there
RUNS = {
    "runs/demo": "pde", "runs/darcy": "pde", "runs/mine": "fields", "runs/film": "fields", "runs/rain": "weather",
    "runs/molecules": "molecules", "runs/audio": "audio", "runs/notes": "audio",
}  # fmt: skip
# the files that pages name as a user's own: (domain, task, the file among those of `sciddm info --example`)
GIVEN = {
    "sensors.csv": ("fields", "observe", "sensors.csv"), "holes.nc": ("fields", "fill", "known.nc"),
    "coarse.nc": ("fields", "superresolve", "coarse.nc"), "frames.nc": ("fields", "forecast", "frames.nc"),
    "pressure.csv": ("pde", "inverse", "sensors.csv"),
    "newest.nc": ("weather", "nowcast", "frames.nc"), "gauges.csv": ("weather", "assimilate", "gauges.csv"),
    "gaps.nc": ("weather", "fill", "gaps.nc"), "coarse_rain.nc": ("weather", "downscale", "coarse.nc"),
    "every15min.nc": ("weather", "interpolate", "apart.nc"),
    "ligand.sdf": ("molecules", "scaffold", "molecule.sdf"), "broken.sdf": ("molecules", "repair", "molecule.sdf"),
    "interview.wav": ("audio", "inpaint", "sound.wav"), "gaps.txt": ("audio", "inpaint", "gaps.txt"),
    "clipped.wav": ("audio", "declip", "sound.wav"), "narrow.wav": ("audio", "bandwidth", "sound.wav"),
    "noisy.wav": ("audio", "denoise", "sound.wav"), "lecture.wav": ("audio", "dereverb", "sound.wav"),
    "room.wav": ("audio", "dereverb", "room.wav"), "reference.wav": ("audio", "style", "reference.wav"),
    "mixture.wav": ("audio", "style", "reference.wav"),
}  # fmt: skip
SMALLER = {"--count": "2", "--members": "2", "--problems": "1", "--steps": "3", "--budget": "6"}
FEW = {"evaluate": {"--problems": "1", "--members": "2"}, "sample": {"--count": "2"}}  # where a page says nothing of them
SMALLER_IN_PYTHON = {r"num_particles=\d+": "num_particles=8", r"model\.sample\(0, \d+": "model.sample(0, 2"}


def own_file(name: str, folder: Path, small_model) -> bool:
    """Write the file that a page trains on, under its name; False for any other name."""
    if name == "mine.nc":
        write_small(folder).rename(folder / name)
    elif name == "darcy.nc":
        small_model("pde").sample(0, 80).to_netcdf(folder / name, engine="h5netcdf")
    elif name == "archive.nc":
        days = [latlon(storm(20, (64, 64)), times(20, now=NOW + np.timedelta64(day, "D"))) for day in range(3)]
        xr.concat(days, "time").to_netcdf(folder / name, engine="h5netcdf")
    elif name == "molecules.sdf":
        with Chem.SDWriter(str(folder / name)) as writer:
            for count in range(4, 16):
                writer.write(embedded("C" * count))
                writer.write(embedded("C" * count + "O"))
                writer.write(embedded("C" * count + "N"))
    else:
        return False
    return True


def blocks(page: str) -> list[tuple[str, str, str]]:
    """(language, text, why it isn't run or "") of each fenced block of a page, in order."""
    text = (ROOT / page).read_text()
    found = re.findall(r"(?:^<!-- not run: (.*?) -->\n)?^```(\S*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(language, body, why) for why, language, body in found]


def commands(body: str) -> list[str]:
    """The commands of a block, comments left out."""
    lines = body.replace("\\\n", " ").splitlines()
    return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines) if line]


def links(page: str) -> list[str]:
    """Relative targets of a page's links and pictures."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", (ROOT / page).read_text(), flags=re.DOTALL)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", target)]


def anchors(file: Path) -> set[str]:
    """Of the headings of a page, as web sites make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", file.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def tables(page: str) -> list[tuple[str, str]]:
    """(table, what follows up to the next heading) of each table of more than six figures."""
    text = (ROOT / page).read_text()
    found = [(match[0], text[match.end() :]) for match in re.finditer(r"(?:^\|.*\n)+", text, re.MULTILINE)]
    return [(table, re.split(r"^#", after, flags=re.MULTILINE)[0]) for table, after in found if len(re.findall(r"\d?\.\d", table)) > 6]


class Reader:
    """Does what a page says, from top to bottom, in `folder`, which must be the current one."""

    def __init__(self, folder: Path, small_run, small_model):
        self.folder, self.small_run, self.small_model, self.names = folder, small_run, small_model, {"__name__": "page"}

    def bring(self, text: str) -> None:
        """The runs and files that `text` names and that are not there yet."""
        for workdir, name in RUNS.items():
            if re.search(rf"{workdir}\b", text) and not Path(workdir).exists() and not re.search(rf"train .*--workdir {workdir}\b", text):
                shutil.copytree(self.small_run(name), workdir)
        if "data.path=sounds" in text:
            write_sounds(self.folder)
        for name in set(re.findall(r"[\w-]+\.(?:nc|csv|sdf|txt|wav)\b", text)) - {path.name for path in self.folder.iterdir()}:
            if own_file(name, self.folder, self.small_model) or name not in GIVEN:
                continue
            domain, task, brought = GIVEN[name]
            place = self.folder / "brought" / domain / task
            if not place.exists():
                place.mkdir(parents=True)
                self.small_model(domain).task(task).write_given(self.small_model(domain).problem(task), place)
            shutil.copy(place / brought, self.folder / name)

    def read(self, page: str) -> None:
        for language, body, why in blocks(page):
            if why:
                continue
            if language == "python":
                self.bring(body)
                for pattern, smaller in SMALLER_IN_PYTHON.items():
                    body = re.sub(pattern, smaller, body)
                exec(compile(body, page, "exec"), self.names)
            if language == "text":  # the table that a page shows is the one that it gives
                (self.folder / "sensors.csv").write_text(body)
            if language == "bash":
                self.read_commands(body)

    def read_commands(self, body: str) -> None:
        for command in commands(body):
            self.bring(command)
            self.run(command)

    def run(self, command: str) -> None:
        print(f"$ {command}")
        name, *words = shlex.split(command)
        assert name == "sciddm", f"{command}: only sciddm's own commands are run; mark the block by <!-- not run: why -->"
        for option, smaller in SMALLER.items():
            if option in words:
                words[words.index(option) + 1] = smaller
        words += [f"{name}={number}" for name, number in FEW.get(words[0], {}).items() if name not in words and "--steer" not in words]
        if "--config.data.path=darcy.nc" in words:
            words.append("--config.data.resolution=16")  # that of the file here
        assert main(words) == 0, command

    def prepared(self, config, workdir, **options):
        """Stands for `sciddm.train.fit`: the config is checked, files of one's own are read, and the shared run of that domain is there."""
        validate(config)
        if config.data.path:
            assert len(sd.get_domain(config).dataset("train"))
        shutil.copytree(self.small_run(config.domain.rpartition(".")[2]), workdir, dirs_exist_ok=True)


