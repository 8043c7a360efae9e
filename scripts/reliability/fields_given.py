"""What is brought by --given for trained models of fields and of an equation: odd tables, odd files, odd words; each is one line."""

import os

import numpy as np
import xarray as xr
from case import Case, refused
from runs import trained
from small_fields import small_dataset

HEAD = "variable,time,y,x,value,error\n"
TABLES = {
    "no rows": (HEAD, "s.csv"), "no header": ("c,0,1,.5,3,.1\n", "s.csv"), "no value": ("variable,time,y,x\nc,0,1,.5\n", "value"),
    "a variable that is none": (HEAD + "q,0,1,.5,3,.1\n", "'q'"), "a value that is missing": (HEAD + "c,0,1,.5,,.1\n", "missing"),
    "a value in words": (HEAD + "c,0,1,.5,three,.1\n", "three"), "a comma in a number": (HEAD + 'c,0,1,.5,"1,000",.1\n', "comma"),
    "a superscript digit": (HEAD + "c,0,1,.5,²,.1\n", "²"), "nan": (HEAD + "c,0,1,.5,nan,.1\n", "missing"),
    "inf": (HEAD + "c,0,1,.5,inf,.1\n", "s.csv"), "beyond double precision": (HEAD + "c,0,1,.5,1e400,.1\n", "s.csv"),
    "-9999": (HEAD + "c,0,1,.5,-9999,.1\n", "-9999"), "1e20": (HEAD + "c,0,1,.5,1e20,.1\n", "1e"),
    "an error of 0": (HEAD + "c,0,1,.5,3,0\n", "error"), "an error below 0": (HEAD + "c,0,1,.5,3,-1\n", "error"),
    "two errors": ("variable,time,y,x,value,error,std\nc,0,1,.5,3,.1,.2\n", "errors"),
    "a place without its column": ("variable,time,y,value\nc,0,1,3\n", "x"),
    "a place far away": (HEAD + "c,0,1,99,3,.1\n", "s.csv"), "a time far away": (HEAD + "c,0,1,.5,3,.1\nc,9999,1,.5,3,.1\n", "s.csv"),
    "units of another kind": ("variable,time,y,x,value [K]\nc,0,1,.5,3\n", "measure different things"),
    "a unit that is none": ("variable,time,y,x,value [furlongs]\nc,0,1,.5,3\n", "furlongs"),
    "a misspelt column": ("variable,time,y,x,value,eror\nc,0,1,.5,3,.1\n", "eror"),
    "cells beside columns": (HEAD + "c,0,1,.5,3,.1,7,8\n", "s.csv"),
}  # fmt: skip


def given(kind, name, write, *words, task="observe", domain="fields", more=()) -> Case:
    """write(folder) -> what is given; sampling is refused."""

    def run(folder):
        found = write(folder)
        brought = [part for one in (found if isinstance(found, list) else [found]) for part in ("--given", one)]
        return ["sample", "--workdir", trained(domain), "--task", task, *brought, "--count", "2", "--out", "out.nc", *more]

    return refused(kind, f"given to {domain}: {name}", run, *words)


def table(name, text, *words) -> Case:
    """A table."""

    def write(folder):
        (folder / "s.csv").write_text(text, encoding="utf-8")
        return "s.csv"

    return given("nonsense", f"a table, {name}", write, *words)


def field(name, change, *words, kind="metadata", task="fill") -> Case:
    """Frames of the model's own fields, changed."""

    def write(folder):
        frames = small_dataset(samples=1).isel(sample=0, time=slice(0, 4)).transpose("time", "y", "x")
        change(frames).to_netcdf(folder / "g.nc", engine="h5netcdf")
        return "g.nc"

    return given(kind, name, write, *words, task=task)


def put(name, content: bytes):
    def write(folder):
        (folder / name).write_bytes(content)
        return name

    return write


def pipe(name):
    def write(folder):
        os.mkfifo(folder / name)
        return name

    return write


def shifted(frames) -> xr.Dataset:
    return frames.assign_coords(y=frames.y + 100.0)


def units_of(name, units):
    def change(frames):
        frames[name].attrs["units"] = units
        return frames

    return change


GIVEN = [
    *(table(name, *rest) for name, rest in TABLES.items()),
    given("hang", "a pipe named .nc", pipe("g.nc"), "pipe"), given("hang", "a pipe named .csv", pipe("g.csv"), "pipe"),
    given("traceback", "an empty file", put("g.nc", b""), "empty"), given("traceback", "an empty table", put("g.csv", b""), "g.csv"),
    given("traceback", "bytes in a table", put("g.csv", bytes(range(256))), "g.csv"),
    given("traceback", "no file", lambda folder: "g.nc", "g.nc"),
    given("traceback", "GRIB", put("g.grib2", b"GRIB" + bytes(20)), "GRIB"),
    given("traceback", "half of HDF5", put("g.nc", b"\x89HDF\r\n\x1a\n"), "g.nc"),
    given("nonsense", "a table twice", lambda folder: [put("s.csv", (HEAD + "c,0,1,.5,3,.1\n").encode())(folder)] * 2, "given twice"),
    given("words", "a column's name in two lines", put("s.csv", b'"vari\nable",time,y,x,value\nc,0,1,.5,3\n'), "no column 'variable'"),
    given("nonsense", "a word", lambda folder: "hello", "hello"),
    given("nonsense", "a start without a time", lambda folder: ["start=soon"], "start"),
    given("nonsense", "a key that is none", lambda folder: ["foo=3"], "foo"),
    field("one variable of another name", lambda frames: frames.rename(c="q", T="p"), "none of c, T"),
    field("units of another kind", units_of("c", "K"), "measure different things"), field("a grid elsewhere", shifted, "y"),
    field("NaN everywhere", lambda frames: frames * np.nan, "NaN everywhere"),
    field("inf", lambda frames: frames.where(frames.x > 0.3, np.inf), "inf"),
    field("-9999", lambda frames: frames.where(frames.x > 0.3, -9999.0), "stands for a missing one"),
    field("complex values", lambda frames: frames.astype("c8"), "g.nc"),
    field("no times left", lambda frames: frames.isel(time=[]), "g.nc"),
    field("samples in it", lambda frames: frames.expand_dims(sample=3), "take one of the samples"),
    field("a coordinate twice", lambda frames: frames.assign_coords(x=np.repeat(np.arange(5.0), 2)), "same at two points"),
    field("an error of 0", lambda frames: frames.assign(c_error=0.0), "above 0"),
    given("nonsense", "a table without u", put("s.csv", b"variable,y,x,value\nq,.5,.5,1\n"), "'q'", task="inverse", domain="pde"),
    given("nonsense", "a table of another side's units", put("s.csv", b"variable,y,x,value [Pa]\nu,.5,.5,1\n"), "Pa", task="inverse",
        domain="pde"),
    given("hang", "a pipe", pipe("s.csv"), "pipe", task="inverse", domain="pde"),
    given("traceback", "an empty file", put("g.npz", b""), "empty", task="superresolve", domain="pde"),
]  # fmt: skip
