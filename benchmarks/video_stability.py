"""How still a video of disparity stays: static cameras with sensor noise and pans through rendered rooms.

    python -m benchmarks.video_stability --output benchmarks/results/video_stability

Depth and cameras of the rooms are exact: it is known where each point of a frame was in the frame before, and how far
it is. Predictions of each frame for itself (off) are compared with those that `anydepth predict --stabilize` makes.
"""

import argparse
import copy
import json
import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image, ImageDraw

from anydepth_hf.atomic_write import atomic_write_json
from anydepth_hf.linear_fit import fit_line
from anydepth_hf.loading import load_model
from anydepth_hf.optical_flow import inside, warp
from anydepth_hf.prediction import Predictor
from anydepth_hf.video_convert import guide_of, stabilized_maps
from anydepth_hf.video_stabilizer import MODES
from anydepth_hf.video_store import Segment, SegmentStore
from anydepth_hf.visualization import colorize, value_range
from training.data.rooms import Rooms, look_at

HEIGHT, WIDTH = 240, 320
NOISE = 0.02  # of full brightness, standard deviation in each frame anew
PAN = 0.35  # degrees a frame
STEP = 0.006  # metres to the side a frame, so that near things move against far ones
SEEN = 0.02  # difference of depth up to which a point is taken for the same


def render(rooms: Rooms, world: int, frames: int, moving: bool):
    """Pictures (T, H, W, 3) uint8, depth (T, H, W) and cameras of one clip."""
    scene, start = rooms.of_world(0, world)
    rng = np.random.default_rng(world)
    pictures, depths, cameras, exposure = [], [], [], None
    for index in range(frames):
        camera = copy.deepcopy(start)
        if moving:
            turn = np.radians(PAN * index)
            to = camera.target - camera.eye
            side = np.cross(to, [0, 1, 0])
            camera.eye = camera.eye + side / np.linalg.norm(side) * STEP * index
            cos, sin = np.cos(turn), np.sin(turn)
            turned = np.array([cos * to[0] + sin * to[2], to[1], cos * to[2] - sin * to[0]])
            camera.target = camera.eye + turned
        scene.camera = camera
        light, depth = rooms.rasteriser.draw(scene, HEIGHT, WIDTH)
        exposure = exposure or 0.6 / np.quantile(light.mean(axis=2), 0.85)
        picture = np.clip(light * exposure, 0, 1) ** (1 / 2.2) + rng.normal(0, NOISE, light.shape)
        pictures.append((picture.clip(0, 1) * 255 + 0.5).astype(np.uint8))
        depths.append(depth)
        cameras.append(camera)
    return np.stack(pictures), np.stack(depths), cameras


def known_flow(depth: np.ndarray, before: np.ndarray, camera, camera_before) -> tuple[torch.Tensor, torch.Tensor]:
    """Flow (2, H, W) of a frame back to the one before, and where its points are seen in both (H, W)."""
    focal = WIDTH / 2 / np.tan(camera.fov / 2)
    y, x = np.meshgrid(np.arange(HEIGHT) + 0.5, np.arange(WIDTH) + 0.5, indexing="ij")
    rays = np.stack(
        [(x - WIDTH / 2) / focal, -(y - HEIGHT / 2) / focal, -np.ones_like(x), 1 / np.maximum(depth, 1e-6)]
    )
    now, then = (look_at(each.eye, each.target, each.roll) for each in (camera, camera_before))
    points = (then @ np.linalg.inv(now)) @ (rays * depth).reshape(4, -1)
    z = -points[2].reshape(HEIGHT, WIDTH)
    there = np.stack([points[0] / -points[2] * focal + WIDTH / 2, HEIGHT / 2 - points[1] / -points[2] * focal])
    flow = torch.from_numpy(there.reshape(2, HEIGHT, WIDTH) - np.stack([x, y])).float()
    seen = warp(torch.from_numpy(before)[None].float(), flow)[0].numpy()
    valid = (depth > 0) & (np.abs(seen - z) < SEEN * z) & inside(flow).numpy()
    return flow, torch.from_numpy(valid)


def predict(predictor: Predictor, pictures: np.ndarray, folder: Path) -> SegmentStore:
    """The maps of a clip, put away as `anydepth predict` does it."""
    store = SegmentStore(folder, {})
    frames = [
        SimpleNamespace(name=str(index), open=partial(Image.fromarray, picture))
        for index, picture in enumerate(pictures)
    ]
    results = list(predictor.stream(frames))
    for number, start in enumerate(range(0, len(results), 16)):
        part = results[start : start + 16]
        maps = np.stack([result.depth.values for result in part])
        guides = np.stack([guide_of(result.image) for result in part])
        store.write(number, Segment(maps, guides, np.arange(start, start + len(part)), np.zeros(len(part), bool)))
    return store


def measure(maps: torch.Tensor, depth: np.ndarray, flows: list) -> dict[str, float]:
    """Figures of one clip's maps (T, H, W), brought to the true disparity by one scale and shift for all frames."""
    truth = torch.from_numpy(depth)
    valid = truth > 0
    disparity = torch.where(valid, 1 / truth.clamp(min=1e-6), torch.zeros(()))
    scale, shift = fit_line(maps[valid], disparity[valid]).float()
    aligned = maps * scale + shift
    error, plain = [], []
    for index, (flow, seen) in enumerate(flows, start=1):
        change = aligned[index] - warp(aligned[index - 1][None], flow)[0]
        true_change = disparity[index] - warp(disparity[index - 1][None], flow)[0]
        error.append(float((change - true_change).abs()[seen].mean()))
        plain.append(float(change.abs()[seen].mean()))
    scales, accuracy, alone = [], [], []
    for index in range(len(maps)):
        seen = valid[index]
        scales.append(float(fit_line(maps[index][seen], maps.mean(0)[seen])[0]))
        accuracy.append(_abs_rel(aligned[index][seen], truth[index][seen]))
        line = fit_line(maps[index][seen], disparity[index][seen]).float()
        alone.append(_abs_rel(maps[index][seen] * line[0] + line[1], truth[index][seen]))
    return {
        "temporal_error": float(np.mean(error)),
        "change_along_flow": float(np.mean(plain)),
        "scale_deviation": float(np.std(scales)),
        "scale_spread": float(max(scales) - min(scales)),
        "abs_rel_one_fit": float(np.mean(accuracy)),
        "abs_rel_each_fit": float(np.mean(alone)),
    }


def _abs_rel(disparity: torch.Tensor, depth: torch.Tensor) -> float:
    return float(((1 / disparity.clamp(min=1e-2) - depth).abs() / depth).mean())


def run_clip(predictor: Predictor, rooms: Rooms, world: int, frames: int, moving: bool):
    """Figures of each mode, and the maps (T, H, W) and pictures for the drawing."""
    pictures, depth, cameras = render(rooms, world, frames, moving)
    flows = [known_flow(depth[i], depth[i - 1], cameras[i], cameras[i - 1]) for i in range(1, frames)]
    figures, kept = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        store = predict(predictor, pictures, Path(folder) / "maps")
        for mode in MODES:
            maps = torch.from_numpy(np.stack(list(stabilized_maps(store, mode))))
            maps = torch.nn.functional.interpolate(maps[:, None], size=(HEIGHT, WIDTH), mode="bilinear")[:, 0]
            figures[mode], kept[mode] = measure(maps, depth, flows), maps
    return figures, kept, pictures


def draw(kept: dict[str, torch.Tensor], pictures: np.ndarray, path: Path):
    """The middle column of every frame, side by side: what is still makes even stripes."""
    column = WIDTH // 2
    strip = np.repeat(pictures[:, :, column].transpose(1, 0, 2), 10, axis=1)
    rows = [("one column of the pictures, frame after frame", strip)]
    limits = value_range(kept["off"].numpy(), robust=0.01)
    for mode, maps in kept.items():
        colors = colorize(np.repeat(maps[:, :, column].numpy().T, 10, axis=1), limits=limits)
        rows.append((f"disparity, {mode}", np.asarray(colors)))
    height = HEIGHT + 16
    sheet = Image.new("RGB", (strip.shape[1], height * len(rows)), "white")
    for index, (title, row) in enumerate(rows):
        sheet.paste(Image.fromarray(row), (0, index * height + 16))
        ImageDraw.Draw(sheet).text((4, index * height + 2), title, fill="black")
    sheet.save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="(default: the bundled one)")
    parser.add_argument("--worlds", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--furniture", type=Path, default=Path("/usr/share/sweethome3d/furniture"))
    parser.add_argument("--output", type=Path, required=True, help="folder for results.json and pictures")
    args = parser.parse_args()
    model, processor = load_model(args.model)
    predictor = Predictor(model, processor, own_size=True, batch_size=4)
    args.output.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        rooms = Rooms(args.furniture, Path(cache))
        for moving in (False, True):
            kind = "pan" if moving else "static"
            for world in args.worlds:
                figures, kept, pictures = run_clip(predictor, rooms, world, args.frames, moving)
                rows.append({"kind": kind, "world": world, "modes": figures})
                print(kind, world, json.dumps(figures), flush=True)
                if world == args.worlds[0]:
                    draw(kept, pictures, args.output / f"{kind}.png")
    means = {}
    for kind in ("static", "pan"):
        clips = [row["modes"] for row in rows if row["kind"] == kind]
        means[kind] = {
            mode: {name: float(np.mean([clip[mode][name] for clip in clips])) for name in clips[0][mode]}
            for mode in MODES
        }
    results = {
        "model": args.model or "bundled",
        "frames": args.frames,
        "size": [HEIGHT, WIDTH],
        "noise": NOISE,
        "degrees_a_frame": PAN,
        "metres_a_frame": STEP,
        "mean": means,
        "clips": rows,
    }
    atomic_write_json(args.output / "results.json", results)
    print(json.dumps(means, indent=1))


if __name__ == "__main__":
    main()
