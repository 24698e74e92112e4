"""A rival score: does the depth of one frame agree with the next one's, seen from there?

Geometric filtering by reprojection consistency is how sequences with camera poses are cleaned for multi-view models
(VGGT-Omega, arXiv 2605.15195, its section on data). It finds wrong depth or poses, of which rendered sets have none;
AnyDepth's own scores judge how a depth map is distributed. `filter.py calibrate` shows how far they agree.
"""

from pathlib import Path

import numpy as np

from training.data.decoding import DataError
from training.data.sources import PairDataset

TOLERANCE = 0.05  # largest relative difference of depth


def reprojection_consistency(depth, valid, other, other_valid, intrinsics, pose) -> float:
    """
    Share of a frame's points that lie on another frame's surfaces.

    Args:
        depth, valid: arrays (H, W) of metres, and bool.
        other, other_valid: the other frame's.
        intrinsics: (3, 3), pixels, the same for both; pixel centres are integers.
        pose: (4, 4), from this frame's camera axes to the other's.

    Returns:
        Of the points that fall on a valid pixel of the other frame, those within `TOLERANCE`; NaN if none falls on
        one. Points that are hidden there count against it, as moving ones do.
    """
    rows, columns = np.nonzero(valid)
    z = depth[rows, columns].astype(np.float64)
    rays = np.linalg.solve(intrinsics, np.stack([columns, rows, np.ones(len(rows))]))
    points = pose[:3, :3] @ (rays * z) + pose[:3, 3:]
    front = points[2] > 0
    x, y, w = intrinsics @ points[:, front]
    x, y = np.rint(x / w).astype(int), np.rint(y / w).astype(int)
    inside = (x >= 0) & (x < other.shape[1]) & (y >= 0) & (y < other.shape[0])
    x, y, w = x[inside], y[inside], w[inside]
    seen = other_valid[y, x]
    if not seen.any():
        return float("nan")
    there = other[y, x][seen].astype(np.float64)
    return float((abs(w[seen] - there) <= TOLERANCE * there).mean())


def score_vkitti2(dataset: PairDataset) -> np.ndarray:
    """The consistency of each frame of Virtual KITTI 2 with the next one of its camera, (N,); NaN without a next one.

    Raises:
        DataError: a variation's folder lacks its tables of cameras.
    """
    cameras: dict[Path, dict] = {}
    scores = np.full(len(dataset), np.nan)
    for index in range(len(dataset)):
        path = Path(dataset.paths(index)[1])  # SceneXX/variation/frames/depth/Camera_C/depth_NNNNN.png
        frame, camera = int(path.stem.rpartition("_")[2]), int(path.parent.name.rpartition("_")[2])
        folder = path.parents[3]
        if folder not in cameras:
            cameras[folder] = read_vkitti2_cameras(folder)
        following = path.with_name(f"depth_{frame + 1:05d}.png")
        here, there = (cameras[folder].get((number, camera)) for number in (frame, frame + 1))
        if following.exists() and here and there:
            depth, valid = dataset.read_depth(index)
            other, other_valid = dataset.reader.read_depth(following)
            pose = there[1] @ np.linalg.inv(here[1])
            scores[index] = reprojection_consistency(depth, valid, other, other_valid, here[0], pose)
    return scores


def read_vkitti2_cameras(folder: Path) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
    """Intrinsics (3, 3) and world-to-camera pose (4, 4) by (frame, camera), of one variation of Virtual KITTI 2.

    The files are `intrinsic.txt` (frame, camera, fx, fy, cx, cy) and `extrinsic.txt` (frame, camera, 16 numbers), each
    with a line of headings.

    Raises:
        DataError: a file is missing or has other columns.
    """
    tables = []
    for name, columns in (("intrinsic.txt", 6), ("extrinsic.txt", 18)):
        try:
            table = np.loadtxt(folder / name, skiprows=1, ndmin=2)
        except (OSError, ValueError) as error:
            raise DataError(f"{folder / name}: expected a table of {columns} numbers a line ({error}).") from error
        if table.shape[1] != columns:
            raise DataError(f"{folder / name}: expected {columns} columns, got {table.shape[1]}.")
        tables.append({(int(line[0]), int(line[1])): line[2:] for line in table})
    intrinsics, poses = tables
    cameras = {}
    for key in intrinsics.keys() & poses.keys():
        fx, fy, cx, cy = intrinsics[key]
        cameras[key] = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), poses[key].reshape(4, 4)
    return cameras
