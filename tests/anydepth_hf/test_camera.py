import io
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from PIL import ExifTags, Image

from anydepth_hf.camera import Intrinsics


def photograph(size=(300, 200), **tags):
    """A JPEG as a camera writes it, read back."""
    image = Image.new("RGB", size)
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif).update({getattr(ExifTags.Base, name): value for name, value in tags.items()})
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif)
    return Image.open(io.BytesIO(file.getvalue()))


def test_field_of_view_there_and_back():
    for direction, index in (("horizontal", 0), ("vertical", 1)):
        camera = Intrinsics.from_fov(60, 640, 480, direction)
        assert camera.fov()[index] == pytest.approx(60)
        assert (camera.cx, camera.cy) == (319.5, 239.5)
    assert Intrinsics.from_fov(90, 30, 40, "diagonal").fx == pytest.approx(25)


def test_focal_length_of_exif_35_mm_equivalent_goes_by_the_diagonal():
    camera = Intrinsics.from_exif(photograph(FocalLengthIn35mmFilm=50), "a.jpg")
    assert camera.fx == camera.fy == pytest.approx(50 / math.hypot(36, 24) * math.hypot(300, 200))
    assert camera.source == "EXIF of a.jpg"


def test_focal_length_of_exif_sensor_resolution_holds_for_a_picture_made_smaller_and_turned():
    # 24 mm sensor with 6000 pixels: 250 pixels per mm
    tags = {"FocalLength": 30.0, "FocalPlaneXResolution": 2500.0, "FocalPlaneResolutionUnit": 3}
    tags |= {"ExifImageWidth": 6000, "ExifImageHeight": 4000}
    assert Intrinsics.from_exif(photograph((6000, 4000), **tags)).fx == pytest.approx(7500, rel=1e-6)
    assert Intrinsics.from_exif(photograph((200, 300), **tags)).fx == pytest.approx(7500 / 20, rel=1e-6)


@pytest.mark.parametrize("tags", [{}, {"FocalLength": 30.0}, {"FocalLengthIn35mmFilm": 0}])
def test_a_picture_without_focal_length_gives_none(tags):
    assert Intrinsics.from_exif(photograph(**tags)) is None


def test_resizing_keeps_every_ray():
    camera = Intrinsics(500, 510, 310, 240, 640, 480)
    small = camera.resized(320, 120)
    # the outer edge of the picture is the outer edge of the smaller one
    assert (-0.5 - small.cx) / small.fx == pytest.approx((-0.5 - camera.cx) / camera.fx)
    assert (119.5 - small.cy) / small.fy == pytest.approx((479.5 - camera.cy) / camera.fy)


def test_matrix_and_json_round_trips():
    camera = Intrinsics(500, 510, 310, 240, 640, 480, "a test")
    assert Intrinsics(**json.loads(json.dumps(asdict(camera)))) == camera
    assert Intrinsics.from_matrix(camera.matrix(), 640, 480, "a test") == camera
    with pytest.raises(ValueError, match="without skew"):
        Intrinsics.from_matrix(camera.matrix() + np.eye(3)[[1, 0, 2]], 640, 480)


def test_numbers_of_arrays_become_plain_ones():
    matrix = np.array([[500.0, 0, 310], [0, 510, 240], [0, 0, 1]], np.float32)
    camera = Intrinsics(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2], *np.array([640, 480]))
    assert Intrinsics(**json.loads(json.dumps(asdict(camera)))) == Intrinsics(500, 510, 310, 240, 640, 480)
    assert f"{camera.fx!r} {camera.width!r}" == "500.0 640"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Intrinsics(0, 1, 0, 0, 4, 4),
        lambda: Intrinsics(1, 1, math.nan, 0, 4, 4),
        lambda: Intrinsics.from_fov(180, 4, 4),
        lambda: Intrinsics.from_fov(60, 4, 4, "sideways"),
    ],
)
def test_impossible_cameras_are_refused(make):
    with pytest.raises(ValueError):
        make()
