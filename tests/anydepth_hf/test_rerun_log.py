import sys

import pytest
from PIL import Image

from anydepth_hf.point_cloud import mesh, point_cloud
from anydepth_hf.rerun_log import RerunLog
from tests.anydepth_hf.rendered import CAMERA, room


def test_a_recording_holds_picture_depth_and_points(tmp_path):
    pytest.importorskip("rerun", reason="needs rerun-sdk, of the extra rerun")
    log = RerunLog(tmp_path / "new" / "room.rrd")
    depth = room()[0]
    for make in (point_cloud, mesh):
        log.log("room.png", make(depth, CAMERA), depth, Image.new("RGB", (160, 120)))
    log.close()
    data = log.path.read_bytes()
    assert data[:3] == b"RRF"
    for entity in (b"camera/picture/depth", b"camera/points", b"camera/picture/photograph"):
        assert entity in data


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(ImportError, match=r"anydepth-hf\[rerun\]"):
        RerunLog("x.rrd")
