"""`anydepth calibrate`: predicts the pictures, fits scale and shift to what is known of them, and keeps both."""

import argparse
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging

from .alignment import sample
from .alignment_spaces import resize_map
from .bundled_checkpoint import BUNDLED_CHECKPOINT
from .calibration import FILE_NAME, Calibration, Sample, fit_calibration
from .camera import Intrinsics, same_shape
from .camera_options import intrinsics_of
from .depth_files import read_depth
from .ground_plane import fit_camera_height
from .image_io import open_image
from .loading import load_model
from .model_types import prediction_kind
from .prediction import predict_depth

_MANY = 10  # known depths from which outliers can be told


def run(args: argparse.Namespace) -> int:
    """Fits, writes and says how well it fits."""
    _check(args)
    output = args.output / FILE_NAME if args.output.is_dir() else args.output
    if output.exists() and not args.overwrite:
        raise ValueError(f"{output} exists; --overwrite replaces it.")
    name = args.model or BUNDLED_CHECKPOINT
    logging.disable_progress_bar()
    model, processor = load_model(name, args.device, args.dtype, args.trust_remote_code)
    kind, unit = prediction_kind(model.config)
    if unit is not None:
        raise ValueError(f"{name} predicts {kind} in {unit} already; it needs no calibration.")
    predictions = [depth.values for depth in predict_depth(list(args.images), (model, processor), size=args.size)]
    # the bundled model's path says nothing on another machine
    name = "bundled" if str(name) == BUNDLED_CHECKPOINT else str(name)
    if args.camera_height is not None:
        calibration = _from_camera_height(args, predictions[0], kind, name)
    else:
        calibration = _from_known_depth(args, predictions, kind, name)
    calibration.save(output)
    print(f"{calibration}\nWrote {output}; `anydepth predict --calibration {output}` gives depth in metres.")
    return 0


def _check(args: argparse.Namespace):
    given = [option for option in ("depth", "point", "camera_height") if getattr(args, option) is not None]
    if len(given) != 1:
        raise ValueError("Give what is known of the pictures: one of --depth, --point and --camera-height.")
    if args.depth is not None and len(args.depth) != len(args.images):
        raise ValueError(f"--depth needs one map for each of the {len(args.images)} images, got {len(args.depth)}.")
    if args.point is not None and (wrong := [metres for _, _, metres in args.point if metres <= 0]):
        raise ValueError(f"--point: a distance is more than 0 metres, got {wrong[0]:g}.")
    for option, wanted in (("ground", "camera_height"), ("pitch", "camera_height"), ("encoding", "depth")):
        if getattr(args, option) is not None and given != [wanted]:
            raise ValueError(f"--{option} goes with --{wanted.replace('_', '-')} only.")
    for option in ("method", "space"):
        if getattr(args, option) is not None and args.camera_height is not None:
            raise ValueError(f"--{option} does not go with --camera-height, which has its own.")
    if args.depth is None and len(args.images) != 1:
        raise ValueError(f"--{given[0].replace('_', '-')} is for one image, got {len(args.images)}.")


def _from_known_depth(args, predictions: list[np.ndarray], kind: str, model: str) -> Calibration:
    if args.depth is not None:
        samples = [
            _map_sample(image, prediction, path, args.encoding)
            for image, prediction, path in zip(args.images, predictions, args.depth)
        ]
    else:
        points = torch.tensor(args.point, dtype=torch.float64)
        values = sample(torch.from_numpy(predictions[0]), points[:, :2])
        samples = [Sample(args.images[0].name, values.numpy(), points[:, 2].numpy())]
    count = sum(int((known.depth > 0).sum()) for known in samples)
    return fit_calibration(
        samples,
        model=model,
        intrinsics=intrinsics_of(args, open_image(args.images[0]), str(args.images[0])),
        size=args.size,
        method=args.method or ("ransac" if count >= _MANY else "least_squares"),
        space=args.space,
        prediction_type=kind,
        scale_only=args.scale_only,
        threshold=args.threshold,
        seed=args.seed,
    )


def _map_sample(image: Path, prediction: np.ndarray, path: Path, encoding: str | None) -> Sample:
    depth = read_depth(path, encoding)
    try:
        depth = depth.to_depth()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not same_shape(prediction.shape, depth.shape):
        raise ValueError(
            f"{path} is {depth.shape[1]} x {depth.shape[0]} and {image} "
            f"{prediction.shape[1]} x {prediction.shape[0]}: they do not show the same; crop or turn one of them."
        )
    if prediction.shape != depth.shape:
        prediction = resize_map(torch.from_numpy(prediction), depth.shape).numpy()
    return Sample(image.name, prediction, np.where(depth.valid, depth.values, 0))


def _from_camera_height(args, prediction: np.ndarray, kind: str, model: str) -> Calibration:
    path = args.images[0]
    camera: Intrinsics | None = intrinsics_of(args, open_image(path), str(path))
    if camera is None:
        raise ValueError(f"{path} has no focal length in its EXIF data: give --fov DEGREES or --focal PIXELS.")
    ground = None
    if args.ground is not None:
        mask = open_image(args.ground).convert("L")
        ground = np.asarray(mask.resize(prediction.shape[::-1], 0)) > 127
    alignment = fit_camera_height(
        prediction,
        camera,
        args.camera_height,
        pitch=None if args.scale_only else args.pitch or 0.0,
        ground=ground,
        prediction_type=kind,
        threshold=args.threshold,
        seed=args.seed,
    )
    return Calibration(alignment, model=model, images=(path.name,), intrinsics=camera, size=args.size)
