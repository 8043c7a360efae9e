"""Small files of GRIB."""

import numpy as np


def write_grib(path, rates, times, mode="wb", **more):
    """mm/h (n, 8, 10) from south to north, NaN where missing; mode: "ab" adds to a file; more: keys of eccodes."""
    import eccodes  # of an extra

    with open(path, mode) as file:
        for frame, time in zip(rates[:, ::-1], times, strict=True):  # GRIB goes from north to south
            message = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
            keys = {
                "Ni": 10, "Nj": 8, "latitudeOfFirstGridPointInDegrees": 50.35, "latitudeOfLastGridPointInDegrees": 50.0,
                "longitudeOfFirstGridPointInDegrees": 359.8, "longitudeOfLastGridPointInDegrees": 0.25,
                "iDirectionIncrementInDegrees": 0.05, "jDirectionIncrementInDegrees": 0.05, "dataDate": 20240501,
                "dataTime": int(str(time)[11:16].replace(":", "")), "bitmapPresent": 1, "missingValue": 9999, "bitsPerValue": 24,
                "shortName": "prate",
            }  # fmt: skip
            for key, value in (keys | more).items():
                eccodes.codes_set(message, key, value)
            eccodes.codes_set_values(message, np.where(np.isnan(frame), 9999, frame / 3600).ravel().astype(float))
            eccodes.codes_write(message, file)
            eccodes.codes_release(message)
    return path
