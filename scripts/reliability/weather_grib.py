"""Messages of GRIB that its library merges, or can't tell apart."""

from case import done, refused
from weather_attributes import rates, same, train
from weather_files import grib

from domains.weather.readers import read_archive
from domains.weather.transform import reflectivity


def two_messages(more, other, **options):
    def run(folder):
        for name, values, keys in (("a", rates, more), ("b", rates + 1, other)):
            grib(folder / f"{name}.part", values, **keys)
        (folder / "f.grib2").write_bytes(b"".join((folder / f"{name}.part").read_bytes() for name in "ab"))
        return train("f.grib2", *options.get("typed", ()))

    return run


MEMBERS = {"productDefinitionTemplateNumber": 1, "numberOfForecastsInEnsemble": 2}
LEVEL = {"typeOfLevel": "heightAboveGround"}
UNLIKE = {
    "nothing but values": ({}, {}, "differ in nothing but their values"),
    "members": (MEMBERS | {"perturbationNumber": 1}, MEMBERS | {"perturbationNumber": 2}, "number 1 and 2.*grib_copy -w .*number=1"),
    "levels": (LEVEL | {"level": 2}, LEVEL | {"level": 10}, "level 2 and 10.*grib_copy -w shortName=prate,level=2 .*f.grib2 one"),
    "kinds of levels": ({}, LEVEL | {"level": 10}, "typeOfLevel surface and heightAboveGround"),
    "forecast and analysis": ({"typeOfProcessedData": "fc"}, {"typeOfProcessedData": "an"}, "dataType fc and an"),
    "centres": ({"centre": "ecmf"}, {"centre": "edzw"}, "centre ecmf and edzw"),
}
CASES = [
    *(refused("metadata", f"GRIB messages of one time, {what}", two_messages(a, b), "more than once at 2024-05-01 10:00", words)
      for what, (a, b, words) in UNLIKE.items()),
    refused("metadata", "GRIB of two lengths of forecast", two_messages({"stepRange": "0"}, {"stepRange": "1"}),
            "keep one entry of 'step'"),
    refused("metadata", "members of GRIB by the name of their field", two_messages(*UNLIKE["members"][:2],
            typed=["--config.data.variable=prate"]), "number 1 and 2"),
    done("metadata", "GRIB messages that are there twice", lambda folder: [
        grib(folder / "a.part", rates), (folder / "f.grib2").write_bytes(2 * (folder / "a.part").read_bytes()),
        same(read_archive(folder / "f.grib2").dBZ(), reflectivity(rates), 0.03), None][-1]),
]  # fmt: skip
