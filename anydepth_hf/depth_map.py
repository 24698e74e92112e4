"""A disparity or depth map together with what its numbers mean."""

import json
import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .camera import Intrinsics

if TYPE_CHECKING:  # it needs PyTorch, and a map without alignment does not
    from .alignment import Alignment

GENERATOR = "anydepth-hf"
EDGE_THRESHOLD = 0.04
"""Change of depth across a pixel, as a share, from which the pixel floats between two surfaces."""


@dataclass(frozen=True, eq=False)
class DepthMap:
    """
    A map and its meaning.

    Args:
        values: `(height, width)` float32. Disparity is large where things are near, depth where they are far.
        kind: `"disparity"` or `"depth"`.
        unit: `"m"` of depth or `"1/m"` of disparity; `None` for numbers known only up to a scale and a shift.
        valid: bool `(height, width)`, where `values` say something; by default where they are finite, and never
            elsewhere.
        intrinsics: the camera in pixels of this map, where it is known.
        model: what predicted it.
        image: name of the picture that it was predicted from.
        alignment: what made it metric.
        confidence: float32 `(height, width)`, large where the model is sure, where the model says so.
        sky: bool `(height, width)`, where the model sees sky, where it says so.
        step: how far apart two neighbouring numbers of the file are that it was read from, if it was rounded.

    Raises:
        ValueError: a shape that does not fit, or a `kind` or `unit` that does not exist.
    """

    values: np.ndarray
    kind: str
    unit: str | None = None
    valid: np.ndarray | None = None
    intrinsics: Intrinsics | None = None
    model: str | None = None
    image: str | None = None
    alignment: "Alignment | None" = None
    confidence: np.ndarray | None = None
    sky: np.ndarray | None = None
    step: float | None = None

    def __post_init__(self):
        if self.kind not in ("disparity", "depth"):
            raise ValueError(f"A map's kind is one of disparity, depth, not {self.kind!r}.")
        unit = "m" if self.kind == "depth" else "1/m"
        if self.unit not in (None, unit):
            raise ValueError(f"The unit of {self.kind} is {unit}, not {self.unit!r}.")
        values = np.asarray(self.values)
        if values.ndim != 2 or not values.size:
            raise ValueError(f"A map needs the shape (height, width), got {values.shape}.")
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and so invalid
            values = values.astype(np.float32, copy=False)
        valid = np.isfinite(values)
        if self.valid is not None:
            valid &= self._layer(self.valid, bool)
        layers = {"confidence": np.float32, "sky": bool}
        arrays = {name: self._layer(getattr(self, name), dtype) for name, dtype in layers.items()}
        for name, array in {"values": values, "valid": valid, **arrays}.items():
            object.__setattr__(self, name, array)

    def _layer(self, array, dtype) -> np.ndarray | None:
        if array is not None and np.shape(array) != np.shape(self.values):
            raise ValueError(f"A layer of a map has its shape {np.shape(self.values)}, got {np.shape(array)}.")
        return None if array is None else np.asarray(array).astype(dtype, copy=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.values.shape

    @property
    def is_metric(self) -> bool:
        """Whether the numbers have a unit."""
        return self.unit is not None

    def filled(self) -> np.ndarray:
        """The values with NaN where they are finite but not valid, as files of floats hold them."""
        hidden = np.isfinite(self.values) & ~self.valid
        return np.where(hidden, np.float32("nan"), self.values) if hidden.any() else self.values

    def to_depth(self, alignment: "Alignment | None" = None) -> "DepthMap":
        """
        The map as depth in metres.

        Args:
            alignment: scale and shift of a prediction without unit (`anydepth_hf.alignment.fit`). A metric map needs
                none.

        Raises:
            ValueError: the map has no unit and there is no alignment: `1 / disparity` would be no depth.
        """
        if alignment is not None:
            if self.is_metric:
                raise ValueError(f"This map is {self.kind} in {self.unit} already; it needs no alignment.")
            if alignment.prediction_type != self.kind:
                raise ValueError(f"The alignment is one of {alignment.prediction_type}, but the map is {self.kind}.")
            valid = self.valid & np.asarray(alignment.reliable(self.values))
            values = np.where(valid, np.asarray(alignment.apply(self.values)), np.float32("nan"))
            return replace(self, values=values, kind="depth", unit="m", valid=valid, alignment=alignment, step=None)
        if not self.is_metric:
            raise ValueError(
                f"This {self.kind} is known only up to a scale and a shift, so it cannot become depth: fit both to "
                "known depths (`anydepth calibrate`, `anydepth_hf.alignment.fit`) and give the alignment."
            )
        if self.kind == "depth":
            return self
        with np.errstate(divide="ignore"):
            valid = self.valid & (self.values > 0)
            values = np.where(valid, 1 / self.values, np.float32("nan"))
        return replace(self, values=values, kind="depth", unit="m", valid=valid, step=None)

    def metadata(self, scale: float = 1.0, offset: float = 0.0, **more: Any) -> dict[str, Any]:
        """
        What a file says about the map, for JSON.

        Args:
            scale, offset: `value = scale * stored + offset`.
            more: what is true of the file alone.
        """
        return {
            "generator": GENERATOR,
            "kind": self.kind,
            "unit": self.unit,
            "meaning": meaning(self.kind, self.unit),
            "scale": scale,
            "offset": offset,
            "model": self.model,
            "image": self.image,
            "intrinsics": self.intrinsics and asdict(self.intrinsics),
            "alignment": self.alignment and self.alignment.to_dict(),
            **more,
        }

    @classmethod
    def from_metadata(cls, values: np.ndarray, metadata: dict[str, Any], **layers: Any) -> "DepthMap":
        """A map from values (scale and offset applied) and what `metadata` gave."""
        intrinsics, alignment = metadata.get("intrinsics"), metadata.get("alignment")
        if alignment:
            from .alignment import Alignment

            alignment = Alignment.from_dict(alignment)
        return cls(
            values,
            metadata["kind"],
            metadata.get("unit"),
            intrinsics=intrinsics and Intrinsics(**intrinsics),
            model=metadata.get("model"),
            image=metadata.get("image"),
            alignment=alignment,
            step=metadata.get("step"),
            **layers,
        )


class UnknownMeaning(ValueError):
    """A file that holds numbers and does not say what they are."""


def parse_metadata(path: str | os.PathLike, text: str | bytes | None) -> dict[str, Any]:
    """What `DepthMap.metadata` wrote into a file; UnknownMeaning where it has no such text."""
    try:
        metadata = json.loads(text or "null")
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict) or metadata.get("generator") != GENERATOR or "kind" not in metadata:
        raise UnknownMeaning(f"{os.fspath(path)} does not say what its numbers are")
    return metadata


def meaning(kind: str, unit: str | None) -> str:
    """What the numbers of a map are, for people."""
    if unit:
        return f"{kind} in {unit}, along the camera's axis"
    near = "large is near" if kind == "disparity" else "large is far"
    return f"relative {kind} ({near}), up to an unknown scale and shift"
