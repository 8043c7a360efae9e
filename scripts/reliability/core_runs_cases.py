"""Runs that are mixed up, lost in part, moved, locked, or written to where there is no room."""

import os
import resource
import shutil
import signal
from pathlib import Path

from case import done, refused
from runs import copied, trained

OTHER = "was trained on other data"


def again(folder, *more, workdir="run"):
    """`sciddm train` of a copy of the run of fields, by its own config, for two more steps, on data that were copied too."""
    return [
        "train",
        "--config",
        f"{workdir}/config.json",
        "--workdir",
        workdir,
        "--quiet",
        "--config.training.steps=6",
        *more,
    ]


def data_of(folder, name="small.nc"):
    """A copy of the data of the run of fields."""
    return Path(shutil.copy(trained("fields").parent / "cache" / "small.nc", folder / name))


def quietly(argv):
    """A command before the one that is tried; it has to go well."""
    from sciddm.cli import main

    assert main([str(one) for one in argv]) == 0, f"the command before went wrong: {argv}"


def on_other_data(change):
    """The run goes on with a copy of its data that `change(path)` has changed."""

    def run(folder):
        copied("fields", folder)
        path = data_of(folder)
        change(path)
        return again(folder, f"--config.data.path={path}")

    return run


def scaled(path):
    import xarray as xr

    dataset = xr.load_dataset(path)
    (dataset * 2.0).to_netcdf(path)


def grown(path):
    import xarray as xr

    dataset = xr.load_dataset(path)
    xr.concat(
        [dataset, dataset.isel(time=slice(0, 8)).assign_coords(time=dataset["time"].values[:8] + 1e3)], "time"
    ).to_netcdf(path)


def one_byte_more(path):
    with path.open("ab") as file:
        file.write(b"x")


def config_stays(folder, said):
    stored = (trained("fields") / "config.json").read_text()
    assert (folder / "run" / "config.json").read_text() == stored, "config.json was overwritten"


def moved_data(folder):
    copied("fields", folder)
    (folder / "new").mkdir()
    return again(folder, f"--config.data.path={data_of(folder / 'new', 'other name.nc')}")


def into_a_folder(folder):
    copied("fields", folder)
    (folder / "new").mkdir()
    data_of(folder / "new")
    (folder / "new" / "README.txt").write_text("words")
    return again(folder, "--config.data.path=new")


def from_another_folder(folder):
    """A run that was trained by a relative path, sampled from elsewhere."""
    copied("fields", folder)
    data_of(folder)
    quietly(again(folder, "--config.data.path=small.nc"))
    (folder / "elsewhere").mkdir()
    os.chdir(folder / "elsewhere")
    return ["sample", "--workdir", "../run", "--task", "observe", "--count", "2", "--out", "x.nc"]


def moved_together(folder):
    """The run and its data in another place, as after a copy to another machine."""
    (folder / "first").mkdir()
    os.chdir(folder / "first")
    copied("fields", folder / "first")
    data_of(folder / "first")
    quietly(again(folder, "--config.data.path=small.nc"))
    os.chdir(folder)
    (folder / "first").rename(folder / "second")
    os.chdir(folder / "second")
    return ["sample", "--workdir", "run", "--task", "observe", "--count", "2", "--out", "x.nc"]


def locked(folder):
    import filelock

    run = copied("toy", folder)
    lock = filelock.FileLock(run / ".lock")
    lock.acquire()
    globals()["KEPT"] = lock  # until this process ends
    return ["train", "--config", run / "config.json", "--workdir", run, "--quiet", "--config.training.steps=6"]


def lock_of_the_dead(folder):
    run = copied("toy", folder)
    (run / ".lock").write_text("")
    return ["train", "--config", run / "config.json", "--workdir", run, "--quiet", "--config.training.steps=6"]


def cut_cache(folder):
    run = copied("toy", folder)
    argv = ["evaluate", "--workdir", run, "--problems", "1", "--members", "2"]
    quietly(argv)
    for path in (run / "samples").glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-40])
    return argv


def flipped_cache(folder):
    run = copied("toy", folder)
    argv = ["evaluate", "--workdir", run, "--problems", "1", "--members", "2"]
    quietly(argv)
    for path in (run / "samples").glob("*.npz"):
        data = bytearray(path.read_bytes())
        data[150] ^= 255
        path.write_bytes(data)
    return argv


def no_room(*argv, name="toy", size=200):
    """A command on a copy of a run, where no file can grow beyond so many bytes, as on a full disk."""

    def run(folder):
        workdir = copied(name, folder)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        return [argv[0], "--workdir", workdir, *argv[1:]]

    return run


def nothing_left(folder, said):
    left = [str(path.relative_to(folder)) for path in folder.rglob("x.*") if path.is_file()]
    assert not left, f"half a file is left: {left}"


def whole_and_damaged(folder, said):
    names = sorted(path.name for path in (folder / "run" / "checkpoints").iterdir())
    assert "4.damaged" in names and "2" in names, names


def twice_damaged(folder):
    run = copied("toy", folder)
    (run / "checkpoints" / "4.damaged").mkdir()
    (run / "checkpoints" / "4.damaged" / "kept").write_text("of an earlier damage")
    (run / "checkpoints" / "4" / "_CHECKPOINT_METADATA").unlink()
    return ["train", "--config", run / "config.json", "--workdir", run, "--quiet"]


def both_kept(folder, said):
    place = folder / "run" / "checkpoints"
    assert (place / "4.damaged" / "kept").exists() and (place / "4.damaged-2" / "state").exists(), sorted(
        p.name for p in place.iterdir()
    )


def unfinished_save(folder):
    run = copied("toy", folder)
    shutil.copytree(run / "checkpoints" / "4", run / "checkpoints" / "6.orbax-checkpoint-tmp-17")
    return ["train", "--config", run / "config.json", "--workdir", run, "--quiet", "--config.training.steps=6"]


def all_damaged(*more):
    def run(folder):
        workdir = copied("toy", folder)
        for path in (workdir / "checkpoints").iterdir():
            (path / "_CHECKPOINT_METADATA").unlink()
        return ["train", "--config", workdir / "config.json", "--workdir", workdir, "--quiet", *more]

    return run


def after_a_first_refusal(folder):
    """The second start after a refusal is refused as the first was, and does not begin at 0."""
    from sciddm.cli import main

    argv = all_damaged()(folder)
    assert main([str(one) for one in argv]) == 2
    return argv


def nothing_deleted(folder, said):
    place = folder / "run" / "checkpoints"
    assert sum((path / "state").exists() for path in place.iterdir()) >= 2, sorted(
        path.name for path in place.iterdir()
    )


def read_only_run(folder):
    """A run that can be read and not written: a file stands where its plots would go, as no right to write does."""
    run = copied("toy", folder)
    shutil.rmtree(run / "plots", ignore_errors=True)
    (run / "plots").write_text("")
    return ["sample", "--workdir", run, "--count", "2", "--out", folder / "x.nc"]


def out_is_there(folder):
    run = copied("toy", folder)
    (folder / "x.nc").write_text("mine")
    return ["sample", "--workdir", run, "--count", "2", "--out", "x.nc"]


def untouched(folder, said):
    assert (folder / "x.nc").read_text() == "mine"
    assert "sample:" not in said, "members were made first"


TOY_MORE = ("--config.training.steps=6",)


def other_key(key, value):
    def run(folder):
        workdir = copied("toy", folder)
        return [
            "train",
            "--config",
            workdir / "config.json",
            "--workdir",
            workdir,
            "--quiet",
            f"--config.{key}={value}",
        ]

    return run


def another_name(folder):
    run = copied("toy", folder)
    (run / "checkpoints" / "2").rename(run / "checkpoints" / "900")
    return ["train", "--config", run / "config.json", "--workdir", run, "--quiet"]


def newest_damaged(folder):
    run = copied("toy", folder)
    (run / "checkpoints" / "4" / "_CHECKPOINT_METADATA").unlink()
    return ["train", "--config", run / "config.json", "--workdir", run, "--quiet"]


CASES = [
    refused("runs", "other values in a file of the same name", on_other_data(scaled), OTHER, "small.nc", "init-from", check=config_stays),
    refused("runs", "data that grew", on_other_data(grown), OTHER, "more", "init-from", check=config_stays),
    refused("runs", "one byte behind the data", on_other_data(one_byte_more), OTHER, "1 bytes more", check=config_stays),
    done("runs", "the same data in another place under another name", moved_data),
    done("runs", "the same data in a folder with a note beside them", into_a_folder),
    done("runs", "a relative path of data, from another folder", from_another_folder),
    done("runs", "a run and its data moved together", moved_together),
    refused("runs", "another equation", lambda f: ["train", "--config", copied("pde", f) / "config.json", "--workdir", "run",
            "--config.data.equation=poisson", "--quiet"], "equation", "another --workdir"),
    *[refused("runs", f"another {key}", other_key(key, value), key, "another --workdir")
      for key, value in (("seed", 5), ("data.count", 300), ("network.width", 9), ("training.batch_size", 4))],
    refused("runs", "a workdir that another process trains in", locked, "another process trains there"),
    done("runs", "the lock of a process that was killed, and a run that goes on", lock_of_the_dead),
    done("runs", "a cache of evaluate that a kill cut short", cut_cache),
    done("runs", "a cache of evaluate with a flipped byte", flipped_cache),
    done("runs", "the newest checkpoint lacks its metadata", newest_damaged, "is not used", check=whole_and_damaged),
    done("runs", "a checkpoint under the name of another step", another_name, "900 is not used", "it is of step 2, under another name"),
    done("runs", "a second damage does not overwrite the first", twice_damaged, "4.damaged-2", check=both_kept),
    done("runs", "an unfinished save of a kill", unfinished_save),
    refused("runs", "no checkpoint is whole", all_damaged(), "no checkpoint is whole", "--anew", check=nothing_deleted),
    refused("runs", "no checkpoint is whole, for the second time", after_a_first_refusal, "no checkpoint is whole", check=nothing_deleted),
    done("runs", "no checkpoint is whole, and it is to begin anew", all_damaged("--anew"), "kept as", check=nothing_deleted),
    *[refused("words", f"a full disk meets {name}", no_room(*argv, name=run, size=size), "free some space", check=nothing_left)
      for name, argv, run, size in (
          ("sample to netCDF", ("sample", "--count", "2", "--out", "x.npy"), "toy", 200),
          ("sample to zarr", ("sample", "--count", "2", "--out", "x.zarr"), "fields", 200),
          ("sample of fields", ("sample", "--count", "2", "--out", "x.nc"), "fields", 4000),
          ("sample of molecules to SDF", ("sample", "--count", "2", "--out", "x.sdf"), "molecules", 200),
          ("sample of molecules to XYZ", ("sample", "--count", "2", "--out", "x.xyz"), "molecules", 60),
          ("sample of weather", ("sample", "--count", "2", "--out", "x.nc"), "weather", 4000),
          ("export", ("export", "x.out"), "toy", 200),
          ("evaluate", ("evaluate", "--problems", "1", "--members", "2"), "toy", 100),
          )],
    done("words", "a run whose plots can't be written", read_only_run, "picture: "),
    refused("runs", "an answer that is there already", out_is_there, "x.nc", check=untouched),
]  # fmt: skip
