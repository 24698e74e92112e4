"""Metres from the camera's height above a flat floor or road, which needs no measured depth."""

import math

import numpy as np
import torch

from .alignment import Alignment, residuals_of
from .alignment_spaces import as_tensor, to_depth
from .camera import Intrinsics
from .linear_fit import ransac


def fit_camera_height(
    prediction,
    intrinsics: Intrinsics,
    height: float,
    pitch: float | None = 0.0,
    ground=None,
    prediction_type: str = "disparity",
    threshold: float | None = None,
    seed: int = 0,
) -> Alignment:
    """
    Scale and shift that put the ground plane at the camera's height below the camera.

    Inverse depth on a plane `n @ x = height` is `n @ ray / height`, linear in pixel coordinates, and so is a disparity
    with any scale and shift: a plane is fitted to it, robustly. Its tilt gives the scale; what remains, the shift,
    follows from the camera's pitch. Without a shift (depth, or `pitch=None`) the pitch follows from the picture.

    Args:
        prediction: (H, W) disparity or depth, array or tensor.
        intrinsics: the camera, of this picture.
        height: of the camera above the ground, metres.
        pitch: degrees by which the camera looks down; 0 for a level one. `None`: the disparity has no unknown shift.
            Not used for depth, whose scale alone is fitted.
        ground: (H, W) bool, pixels of the ground, at least half of them rightly so. By default the lowest third of the
            picture.
        prediction_type: `"disparity"` or `"depth"`.
        threshold: largest residual of a ground pixel, in the prediction's unit (of its inverse, for depth).
        seed: of the robust fit.

    Returns:
        An `Alignment` of method `"camera_height"`, whose known depths are those of the plane.

    Raises:
        ValueError: intrinsics of a picture of another shape, too few ground pixels, an impossible height or pitch, or
            a plane that is no ground: one that does not come nearer towards the bottom of the picture.
    """
    values = as_tensor(prediction)
    if values.ndim != 2:
        raise ValueError(f"The prediction must be a map (height, width), got the shape {tuple(values.shape)}.")
    if not (math.isfinite(height) and height > 0):
        raise ValueError(f"The camera's height must be a positive number of metres, got {height}.")
    if pitch is not None and not -90 < pitch < 90:
        raise ValueError(f"The pitch lies between -90 and 90 degrees, got {pitch}.")
    rows, columns = values.shape
    camera = intrinsics.for_size(columns, rows)
    if ground is None:
        mask = torch.zeros_like(values, dtype=torch.bool)
        mask[-max(1, rows // 3) :] = True
    else:
        mask = torch.as_tensor(ground, device=values.device).bool()
        if mask.shape != values.shape:
            raise ValueError(
                f"ground must have the prediction's shape {tuple(values.shape)}, got {tuple(mask.shape)}."
            )
    mask = mask & values.isfinite() & (values > 0)
    if int(mask.sum()) < 10:
        raise ValueError(f"Only {int(mask.sum())} ground pixels have a prediction; 10 are the least.")
    row, column = mask.nonzero(as_tuple=True)
    x = (column.double() - camera.cx) / camera.fx
    y = (row.double() - camera.cy) / camera.fy
    measured = values[mask].double()
    target = 1 / measured if prediction_type == "depth" else measured
    design = torch.stack([x, y, torch.ones_like(x)], dim=1)
    plane = ransac(design, target, torch.ones_like(x), threshold=threshold, seed=seed)
    across, down, along = plane.coefficients.tolist()
    if not down > 0:
        raise ValueError("The ground pixels do not come nearer towards the bottom of the picture: they are no ground.")
    if prediction_type == "depth":
        scale, shift = height * math.hypot(across, down, along), 0.0
    elif pitch is None:
        scale, shift = 1 / (height * math.hypot(across, down, along)), 0.0
    else:
        angle = math.radians(pitch)
        scale = math.cos(angle) / (height * math.hypot(across, down))
        shift = math.sin(angle) / height - scale * along
    # the plane's own depth, where it is in front of the camera, is what the ground pixels are compared with
    inverse = design @ plane.coefficients
    inverse = inverse / scale if prediction_type == "depth" else scale * inverse + shift
    seen = inverse > 0
    known = 1 / inverse[seen]
    aligned = to_depth(measured[seen], scale, shift, prediction_type, prediction_type)
    inliers = plane.inliers[seen]
    found = torch.zeros_like(mask)
    found[row[seen], column[seen]] = inliers
    return Alignment(
        scale,
        shift,
        space=prediction_type,
        prediction_type=prediction_type,
        method="camera_height",
        scale_only=prediction_type == "depth" or pitch is None,
        residuals=residuals_of(aligned[inliers], known[inliers]),
        residuals_of_all=residuals_of(aligned, known),
        depth_range=(float(known[inliers].min()), float(known[inliers].max())),
        inliers=found.numpy() if isinstance(prediction, np.ndarray) else found,
    )
