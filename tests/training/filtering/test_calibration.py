import json

import numpy as np
import pytest

from tests.training.drawn import write_pictures
from training.data.decoding import DataError
from training.data.sources import DatasetSpec, open_dataset
from training.filter import main
from training.filtering import calibration
from training.filtering.calibration import Choice, agreement, choices, random_agreement, rival
from training.filtering.reprojection import reprojection_consistency, score_vkitti2
from training.filtering.scores import ScoreOptions, SelectionRule
from training.filtering.simulation import simulate

HIDDEN = Choice(80.0, ScoreOptions(percentiles=(1.0, 99.0), operator="central"), SelectionRule())


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    """Streets in Virtual KITTI's layout, and what a hidden choice kept of them."""
    folder = tmp_path_factory.mktemp("simulation")
    write_pictures(folder / "pictures", 32, 47, 155, street=True)
    return folder / "vkitti2", simulate(folder / "vkitti2", folder / "pictures", 30, HIDDEN)


def test_a_calibration_finds_the_hidden_choice(streets, tmp_path, capsys):
    root, kept = streets
    dataset = f"vkitti2,root={root}"
    main(["calibrate", dataset, "--kept", str(kept), "--output", str(tmp_path / "choices.json"), "--num-workers", "0"])
    result = json.loads((tmp_path / "choices.json").read_text())
    assert result["samples"] == 30
    assert 18 <= result["kept"] <= 24
    assert len(result["agreements"]) == len(choices()) + 1
    best = [entry["choice"] for entry in result["agreements"] if entry["iou"] == 1]
    assert HIDDEN.describe() in best
    assert len(best) < len(choices()) / 4
    chance = result["agreements"][-1]
    assert chance["choice"] == "as many at random"
    assert chance["iou"] < 0.8
    assert "far_plane=80 --percentiles 1 99 --operator central" in capsys.readouterr().out


def test_lists_are_matched_wherever_they_were_made(streets, tmp_path):
    root, kept = streets
    dataset = open_dataset(DatasetSpec("vkitti2", root=str(root)))
    labels = calibration.keep_labels(dataset, str(kept))
    assert labels.sum() == len(kept.read_text().splitlines())
    other = tmp_path / "other.txt"
    other.write_text("/x/Scene09/clone/frames/rgb/Camera_0/rgb_00000.jpg /x/d.png\n")
    with pytest.raises(DataError, match="1 of its 1 samples are not in the data set, first Scene09/clone"):
        calibration.keep_labels(dataset, str(other))


def test_what_cannot_be_calibrated_gets_one_sentence(tmp_path, capsys):
    def mistake(dataset, *options):
        assert main(["calibrate", dataset, "--kept", str(tmp_path / "kept.txt"), *options]) == 2
        (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("filter.py: "))
        return line

    for folder in ("rgb/a/x", "rgb/b/x", "depth/a/x", "depth/b/x"):
        (tmp_path / folder).mkdir(parents=True)
        for index in range(2):
            np.save(tmp_path / folder / f"{index}.npy", np.ones((4, 5), np.float32))
    (tmp_path / "kept.txt").write_text(f"{tmp_path}/rgb/a/x/1.npy d.npy\n")
    pairs = f"pairs,rgb_dir={tmp_path}/rgb,depth_dir={tmp_path}/depth"
    assert "kept.txt: x/1.npy is the end of several samples' paths" in mistake(pairs)
    assert "--reprojection needs the cameras of vkitti2; pairs has none." in mistake(pairs, "--reprojection")
    (tmp_path / "depth/a/x/1.npy").write_bytes(b"\x93NUMPY")
    pairs = f"pairs,rgb_dir={tmp_path}/rgb/a,depth_dir={tmp_path}/depth/a"
    line = mistake(pairs, "--num-workers", "1")
    assert line.startswith(f"filter.py: {tmp_path}/depth/a/x/1.npy: ")
    assert "Traceback" not in line


def test_agreement_and_chance():
    labels = np.array([True, True, False, False])
    one = agreement("some", np.array([True, False, True, False]), labels)
    assert (one.iou, one.equal, one.kept) == (pytest.approx(1 / 3), 0.5, 0.5)
    rng = np.random.default_rng(0)
    labels = rng.random(4000) < 0.6
    drawn = rng.permutation(labels)
    assert agreement("drawn", drawn, labels).iou == pytest.approx(random_agreement(labels).iou, abs=0.03)
    scores = labels + rng.random(4000)
    scores[:10] = np.nan
    assert rival("good", scores, labels).iou > 0.95


def test_reprojection_counts_points_on_the_other_frames_surfaces():
    intrinsics = np.array([[50.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]])
    wall, all_valid = np.full((48, 64), 5.0), np.ones((48, 64), bool)
    step = np.eye(4)
    step[2, 3] = -1.0  # a metre closer to the wall
    assert reprojection_consistency(wall, all_valid, wall - 1, all_valid, intrinsics, step) == 1
    assert reprojection_consistency(wall, all_valid, wall, all_valid, intrinsics, step) == 0
    broken = wall.copy()
    broken[:, :32] = 3.0
    half = reprojection_consistency(broken, all_valid, wall - 1, all_valid, intrinsics, step)
    assert 0.4 < half < 0.65
    behind = np.diag([1.0, 1, -1, 1])
    assert np.isnan(reprojection_consistency(wall, all_valid, wall, all_valid, intrinsics, behind))


def test_frames_of_virtual_kitti_are_compared_with_the_next(streets):
    root, _ = streets
    for folder in root.glob("Scene*/clone"):
        frames = sorted(int(path.stem[4:]) for path in folder.glob("frames/rgb/Camera_0/*.jpg"))
        last = max(frames)
        for name, numbers in (
            ("intrinsic.txt", "80 80 77 23"),
            ("extrinsic.txt", " ".join(map(str, np.eye(4).ravel()))),
        ):
            lines = ["frame camera", *(f"{frame} 0 {numbers}" for frame in range(last + 2))]
            (folder / name).write_text("\n".join(lines) + "\n")
        # the same picture again, a frame later
        depth = folder / f"frames/depth/Camera_0/depth_{last:05d}.png"
        depth.with_name(f"depth_{last + 1:05d}.png").write_bytes(depth.read_bytes())
    dataset = open_dataset(DatasetSpec("vkitti2", root=str(root)))
    scores = score_vkitti2(dataset)
    assert np.nansum(scores) == 5  # the five last frames stand still; the others have no next frame
    assert np.isnan(scores).sum() == 25
