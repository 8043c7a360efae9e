"""TIFF stacks, their channels and the places of their pixels."""

import numpy as np
import pytest
import tifffile

from domains.fields.readers import open_fields
from sciddm.errors import UserError

rng = np.random.default_rng(0)


def test_tiff_stacks_have_the_axes_of_their_series_and_a_variable_a_channel(tmp_path):
    stack = rng.integers(0, 4000, (3, 2, 6, 5)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "i.tif", stack, imagej=True, metadata={"axes": "TCYX", "Labels": ["mask", "light"] * 3})
    fields = open_fields(tmp_path / "i.tif")
    assert [*fields.placed] == ["channel_0", "channel_1"] and fields.template["channel_0"].dims == ("time", "y", "x")
    np.testing.assert_array_equal(fields.read("channel_1", {"time": [2, 0]}), stack[[2, 0], 1])
    names = {"axes": "TCYX", "Channel": {"Name": ["mask", "light 2"]}}
    tifffile.imwrite(tmp_path / "o.ome.tif", stack, metadata=names, compression="zlib")
    fields = open_fields(tmp_path / "o.ome.tif")
    np.testing.assert_array_equal(fields.read("light_2", {"time": 2, "y": [4, 1]}), stack[2, 1][[4, 1]])
    tifffile.imwrite(
        tmp_path / "pages.tif",
        stack[:, 0].astype(">f4"),
        metadata=None,
        byteorder=">",
        compression="zlib",
        photometric="minisblack",
    )
    fields = open_fields(tmp_path / "pages.tif")
    assert fields.template["pages"].dims == ("axis_0", "y", "x")
    np.testing.assert_array_equal(
        fields.read("pages", {"axis_0": slice(1, None), "x": slice(None, None, -2)}), stack[1:, 0, :, ::-2]
    )
    tifffile.imwrite(tmp_path / "rgb.tif", stack[:, 0, :, :3].astype(np.uint8), photometric="rgb")
    assert [*open_fields(tmp_path / "rgb.tif").placed] == ["channel_0", "channel_1", "channel_2"]


def test_a_geotiff_has_the_places_of_its_pixels_and_its_missing_value(tmp_path):
    image = np.array([[1, 2, 3], [-9999, 5, 6]], np.float32)
    tags = [(33550, "d", 3, (0.5, 0.25, 0.0)), (33922, "d", 6, (0, 0, 0, 10.0, 50.0, 0)), (42113, "s", 0, "-9999")]
    tifffile.imwrite(tmp_path / "dem.tif", image, extratags=tags)
    fields = open_fields(tmp_path / "dem.tif")
    np.testing.assert_allclose(fields.template["x"], [10.25, 10.75, 11.25])
    np.testing.assert_allclose(fields.template["y"], [49.875, 49.625])
    np.testing.assert_array_equal(fields.read("dem"), np.where(image < 0, np.nan, image))


def test_the_scale_and_offset_of_gdal_are_applied_and_those_of_each_band_refused(tmp_path):
    item = '<Item name="SCALE" sample="{}" role="scale">{}</Item>'.format
    said = '<GDALMetadata>{}<Item name="OFFSET" sample="0" role="offset">-32</Item></GDALMetadata>'.format
    tag = lambda text: [(42112, "s", 0, text, True)]  # noqa: E731
    raw = np.array([[0, 10], [160, 254]], "u1")
    tifffile.imwrite(tmp_path / "f.tif", raw, extratags=tag(said(item(0, 0.5))))
    np.testing.assert_array_equal(open_fields(tmp_path / "f.tif").read("f"), raw / 2 - 32)
    tifffile.imwrite(tmp_path / "g.tif", raw, extratags=tag(said(item(0, 0.5) + item(1, 0.25))))
    with pytest.raises(UserError, match="scale_factor is '0.5, 0.25'; expected one number"):
        open_fields(tmp_path / "g.tif")
