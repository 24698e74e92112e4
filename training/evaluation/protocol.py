"""Evaluation protocols as data: `protocols/*.json` say how predictions become depth and which errors count."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from training.data.decoding import DataError
from training.evaluation.comparison import Comparison

DEFINITIONS = Path(__file__).with_name("protocols")


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a prediction is brought to the ground truth's units.

    Attributes:
        space: where scale and shift are linear: `disparity`, `depth`, `log1p` (the logarithm of 1 + depth), or `none`.
        method: `marigold` (its least squares, with its float types and its subsampling of large maps), or one of
            `anydepth_hf.alignment.METHODS`.
        shift: whether there is a shift.
        scope: whether one fit serves an `image`, or a `clip` of all images of one folder.
        grid: fit on at most so many (rows, columns) of points, each the valid pixel nearest to the centre of its cell.
        weights: `equal`, or `inverse_depth`.
        threshold: of robust methods: `target_mad`, the median absolute deviation of the targets, or the method's own.
        positive_scale: where the fitted scale is not positive, take the ratio of the means instead.
        smallest_signal: smaller predictions are raised to it before the fit.
        floor: smallest fitted disparity: a number, `max_depth` (the inverse of the comparison's, or if it has none, of
            the largest depth that is compared), or `farthest` (of the largest depth that is compared).
    """

    space: str
    method: str = "least_squares"
    shift: bool = True
    scope: str = "image"
    grid: tuple[int, int] | None = None
    weights: str = "equal"
    threshold: str | None = None
    positive_scale: bool = False
    smallest_signal: float | None = None
    floor: float | str | None = None


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way to turn predictions into numbers.

    Attributes:
        name, version: numbers of one name and version are comparable; a change of arithmetic is a new version.
        title, summary: for tables, for people.
        sources: where it comes from: mappings with `repository`, `commit` and `file`, or `url`.
        predicts: kinds of predictions that it measures.
        fit: how predictions become depth.
        clip: of aligned depth: `comparison` (its range), `farthest` (from 1 mm to the largest depth that is compared),
            or `none`.
        align_corners: how predictions of another size are resized: bilinear with corners aligned and no antialiasing,
            or bilinear with antialiasing.
        metrics: names of `training.evaluation.measures`, the first is that of rankings.
        metrics_of: `depth`, or `disparity`: errors of the fitted disparity itself.
        epsilon: added to the divisor of `abs_rel`.
        min_valid_pixels: images with fewer are left out.
        comparison: fields of `Comparison` that the protocol sets itself.
        sets: the same for single evaluation sets, by name.
        note: what differs from the source.
    """

    name: str
    version: int
    title: str
    summary: str
    sources: tuple[dict[str, str], ...]
    predicts: tuple[str, ...]
    fit: Fit
    clip: str = "comparison"
    align_corners: bool = False
    metrics: tuple[str, ...] = ()
    metrics_of: str = "depth"
    epsilon: float = 0.0
    min_valid_pixels: int = 1
    comparison: dict = field(default_factory=dict)
    sets: dict[str, dict] = field(default_factory=dict)
    note: str = ""

    def comparison_for(self, set_name: str, comparison: Comparison) -> Comparison:
        """Which pixels are compared, and in which range, where the set (or, of own data, the user) says `comparison`.

        Own data have a name that no protocol knows.
        """
        return replace(comparison, **self.comparison | self.sets.get(set_name, {}))

    def refusal(self, predicts: str, has_camera: bool) -> str | None:
        """Why predictions of a kind cannot be measured; `None` if they can."""
        if predicts not in self.predicts:
            kinds = " or ".join(kind.replace("_", " ") for kind in self.predicts)
            return f"the protocol {self.name} measures {kinds}, and the predictions are {predicts.replace('_', ' ')}"
        if "plane_angle" in self.metrics and not has_camera:
            return f"the protocol {self.name} needs the camera, which --intrinsics gives for own data"
        return None


def protocol_names() -> list[str]:
    """The names of all protocols."""
    return sorted(path.stem for path in DEFINITIONS.glob("*.json"))


def load_protocol(name: str) -> Protocol:
    """The definition in `protocols/<name>.json`; DataError for an unknown name."""
    if name not in protocol_names():
        raise DataError(f"Unknown protocol {name!r}: choose from all, {', '.join(protocol_names())}.")
    fields = json.loads((DEFINITIONS / f"{name}.json").read_text(encoding="utf-8"))
    return Protocol(name=name, **fields | {"fit": Fit(**fields["fit"])})


def default_protocol(predicts: str) -> str:
    """The protocol that fits predictions in their own space, on the sets' own terms; metric depth is not fitted."""
    return {"disparity": "lotus", "depth": "marigold", "metric_depth": "metric", "log_depth": "pixel-perfect-depth"}[
        predicts
    ]


def choose_protocols(
    names: list[str], predicts: str, has_camera: bool = True
) -> tuple[list[Protocol], dict[str, str]]:
    """The protocols to run for predictions of a kind, and those of `all` that cannot, with the reason.

    Args:
        names: of protocols; none is the default, `["all"]` every one that can measure the predictions, the default
            first.
        has_camera: whether the data's intrinsics are known.

    Raises:
        DataError: an unknown name, or a protocol that was named and cannot measure these predictions.
    """
    if names != ["all"]:
        chosen = [load_protocol(name) for name in dict.fromkeys(names or [default_protocol(predicts)])]
        for protocol in chosen:
            if reason := protocol.refusal(predicts, has_camera):
                raise DataError(f"--protocol {protocol.name}: {reason}.")
        return chosen, {}
    first = default_protocol(predicts)
    protocols = [load_protocol(name) for name in sorted(protocol_names(), key=lambda name: (name != first, name))]
    refused = {protocol.name: protocol.refusal(predicts, has_camera) for protocol in protocols}
    chosen = [protocol for protocol in protocols if refused[protocol.name] is None]
    return chosen, {name: reason for name, reason in refused.items() if reason}
