"""A calibration: one scale and shift for all pictures of a camera and model, kept in a file beside the model.

The scale and shift of a relative model differ from picture to picture. One pair for all of them is right for pictures
like those it was fitted on (same model and input size, same camera, similar scenes), and how much is lost on others is
measured: by leaving out each picture in turn.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from .alignment import Alignment, fit
from .alignment_spaces import as_tensor
from .atomic_write import atomic_write_json
from .camera import Intrinsics, same_shape

FILE_NAME = "calibration.json"
"""Name of a calibration in a model's folder, where `anydepth predict` finds it."""
_FORMAT = "anydepth-hf calibration"
_POINTS = 100_000  # of each picture: more change nothing but the time


@dataclass(frozen=True)
class Sample:
    """A picture's prediction and what is known of its depth, of one shape; zero, NaN and infinite mean unknown."""

    name: str
    prediction: np.ndarray
    depth: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """
    An alignment with what it was fitted on.

    Args:
        alignment: scale and shift.
        model: the model whose predictions it is for.
        images: names of the pictures it was fitted on.
        image_errors: median relative error of depth on each of them.
        held_out_errors: the same with a calibration on the other pictures; `None` for a single picture.
        intrinsics: the camera, if it was known.
        size: shortest side at which the model saw the pictures; `None` for the model's own.
    """

    alignment: Alignment
    model: str = ""
    images: tuple[str, ...] = ()
    image_errors: tuple[float, ...] = ()
    held_out_errors: tuple[float, ...] | None = None
    intrinsics: Intrinsics | None = None
    size: int | None = None

    @property
    def prediction_type(self) -> str:
        """What it takes, `"disparity"` or `"depth"`."""
        return self.alignment.prediction_type

    def apply(self, prediction):
        """Depth in metres of a prediction, an array or tensor of any shape, of the same kind."""
        return self.alignment.apply(prediction)

    def camera_of(self, width: int, height: int) -> Intrinsics | None:
        """The camera for a picture of this size; `None` where it is not known, or its pictures have another shape."""
        camera = self.intrinsics
        known = camera is not None and same_shape((camera.width, camera.height), (width, height))
        return camera.resized(width, height) if known else None

    def __str__(self) -> str:
        sentences = [str(self.alignment)]
        if self.images:
            shown = ", ".join(self.images[:3]) + (f" and {len(self.images) - 3} more" if len(self.images) > 3 else "")
            sentences.append(
                f"Fitted on {len(self.images)} {'picture' if len(self.images) == 1 else 'pictures'}: {shown}."
            )
        if self.held_out_errors:
            errors = 100 * np.array(self.held_out_errors)
            sentences.append(
                f"On a picture that it was not fitted on, depth is off by {np.median(errors):.2g} % typically "
                f"(each left out in turn; worst {errors.max():.2g} %)."
            )
        elif len(self.images) == 1:
            sentences.append("On other pictures it may be far off: scale and shift differ from picture to picture.")
        return " ".join(sentences)

    def save(self, path: str | os.PathLike) -> Path:
        """Writes a JSON file, or `calibration.json` in an existing folder; returns its path."""
        path = Path(path)
        if path.is_dir():
            path = path / FILE_NAME
        values = {
            "format": _FORMAT,
            "unit": "m",
            "summary": str(self),
            "model": self.model,
            "alignment": self.alignment.to_dict(),
            "images": list(self.images),
            "image_errors": list(self.image_errors),
            "held_out_errors": self.held_out_errors and list(self.held_out_errors),
            "intrinsics": self.intrinsics and asdict(self.intrinsics),
            "size": self.size,
        }
        atomic_write_json(path, values)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Calibration":
        """Reads a calibration from its file, or from `calibration.json` in a folder; ValueError where it is none."""
        path = Path(path)
        if path.is_dir():
            path = path / FILE_NAME
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["format"] != _FORMAT:
                raise ValueError(f"its format is {values['format']!r}")
            return cls(
                alignment=Alignment.from_dict(values["alignment"]),
                model=values["model"],
                images=tuple(values["images"]),
                image_errors=tuple(values["image_errors"]),
                held_out_errors=values["held_out_errors"] and tuple(values["held_out_errors"]),
                intrinsics=values["intrinsics"] and Intrinsics(**values["intrinsics"]),
                size=values["size"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no calibration; `anydepth calibrate` makes one ({error}).") from error


def find_calibration(
    model: str | os.PathLike, path: str | os.PathLike | None = None
) -> tuple[Calibration | None, Path | None]:
    """
    The calibration to predict with, and its file; twice `None` where there is none.

    Args:
        model: directory of a model, beside which a calibration may lie, or any other name.
        path: another calibration, or `"none"` to leave the one beside the model alone.

    Raises:
        ValueError: the file is no calibration.
    """
    beside = Path(model) / FILE_NAME
    file = Path(path) if path is not None else (beside if beside.is_file() else None)
    return (None, None) if file is None or str(file) == "none" else (Calibration.load(file), file)


def fit_calibration(
    samples: Sequence[Sample],
    model: str = "",
    intrinsics: Intrinsics | None = None,
    size: int | None = None,
    **options,
) -> Calibration:
    """
    Fits one scale and shift to the known depths of several pictures.

    Every picture counts the same, whatever the number of its known points.

    Args:
        samples: predictions with known depths, one a picture.
        model, intrinsics, size: what the file says of them.
        options: those of `alignment.fit`, but `valid` and `weights`.

    Raises:
        ValueError: as `alignment.fit`, or no sample, or one without a known depth.
    """
    if not samples:
        raise ValueError("A calibration needs at least one picture with known depths.")
    vectors = [_known_points(sample) for sample in samples]
    alignment = _fit_jointly(vectors, options)
    held_out = None
    if len(vectors) > 1:
        held_out = tuple(
            _median_error(_fit_jointly(vectors[:index] + vectors[index + 1 :], options), vector)
            for index, vector in enumerate(vectors)
        )
    return Calibration(
        alignment=alignment,
        model=model,
        images=tuple(sample.name for sample in samples),
        image_errors=tuple(_median_error(alignment, vector) for vector in vectors),
        held_out_errors=held_out,
        intrinsics=intrinsics,
        size=size,
    )


def _known_points(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and depths of the known points, at equal steps if there are very many."""
    prediction, depth = (
        as_tensor(values).cpu().double().numpy().ravel() for values in (sample.prediction, sample.depth)
    )
    if prediction.shape != depth.shape:
        raise ValueError(f"{sample.name}: prediction and known depths have different shapes.")
    known = np.flatnonzero(np.isfinite(depth) & (depth > 0))
    if len(known) == 0:
        raise ValueError(f"{sample.name}: no depth is known.")
    known = known[:: -(-len(known) // _POINTS)]
    return prediction[known], depth[known]


def _fit_jointly(vectors, options) -> Alignment:
    prediction, depth = (np.concatenate(values) for values in zip(*vectors))
    counts = [len(depths) for _, depths in vectors]
    # relative to the mean, so that a single picture has weights of 1
    weights = None if len(set(counts)) == 1 else np.repeat([np.mean(counts) / count for count in counts], counts)
    return replace(fit(prediction, depth, weights=weights, **options), inliers=None)


def _median_error(alignment: Alignment, vector) -> float:
    prediction, depth = vector
    return float(np.median(np.abs(alignment.apply(prediction) / depth - 1)))
