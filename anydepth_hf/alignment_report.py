"""An alignment in plain sentences: what was fitted, how well it fits, and what to beware of."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .alignment import Alignment

_NAMES = {
    "least_squares": "least squares",
    "ransac": "RANSAC",
    "irls": "reweighted least squares",
    "median": "median and mean deviation",
    "truncated_l1": "truncated L1",
}
# median relative error up to which a fit is called so
_GRADES = ((0.01, "an excellent"), (0.05, "a good"), (0.15, "a rough"), (math.inf, "a poor"))


def describe(alignment: "Alignment") -> str:
    """One paragraph on an alignment: formula, points, typical error in per cent, outliers, cautions."""
    sentences = [f"{_formula(alignment)}."]
    inliers, every = alignment.residuals, alignment.residuals_of_all
    if inliers is None:
        return f"{sentences[0]} Scale and shift were given, not fitted: nothing says how well they fit."
    if alignment.method == "camera_height":
        sentences.append(
            f"From the camera's height above the ground, which is flat to {_percent(inliers.median)} of depth "
            f"(median) over {inliers.count:,} of {every.count:,} pixels. How right the height, the pitch and the "
            "focal length are, and depth off the ground with them, this does not tell."
        )
        return " ".join(sentences + cautions(alignment))
    method = _NAMES.get(alignment.method, alignment.method)
    near, far = alignment.depth_range or (math.nan, math.nan)
    sentences.append(
        f"Fitted by {method} to {every.count:,} known {_plural('depth', every.count)} from {near:.3g} to {far:.3g} m."
    )
    free = 1 if alignment.scale_only else 2
    if every.count <= free:
        what = "one depth gives one number" if free == 1 else "two depths give two numbers"
        sentences.append(f"It is exact by construction ({what}), so nothing says how well it fits: add a depth.")
    else:
        grade = next(name for limit, name in _GRADES if not inliers.median > limit)
        sentences.append(
            f"It is {grade} fit: depth is off by {_percent(inliers.median)} typically (median), "
            f"{_percent(inliers.mean)} on average, {inliers.rmse:.3g} m RMSE."
        )
        outliers = every.count - inliers.count
        if outliers:
            sentences.append(
                f"That is of {inliers.count:,} inliers; {outliers:,} {_plural('point', outliers)} "
                f"({_percent(outliers / every.count)}) {'was' if outliers == 1 else 'were'} left out as outliers."
            )
    return " ".join(sentences + cautions(alignment))


def cautions(alignment: "Alignment") -> list[str]:
    """Sentences on what makes an alignment doubtful; none if nothing does."""
    found = []
    if alignment.scale <= 0:
        found.append("Beware: the scale is not positive, so near and far are exchanged; check the known depths.")
    elif alignment.scale_error > 0.1 * alignment.scale:
        found.append(
            f"Beware: the scale is known to {_percent(alignment.scale_error / alignment.scale)} only; "
            "more known depths at different distances would help."
        )
    if alignment.depth_range and not alignment.scale_only:
        near, far = alignment.depth_range
        if far < 1.25 * near:
            found.append("Beware: the known depths are nearly equal, so depths much nearer or farther are a guess.")
    return found


def _formula(alignment: "Alignment") -> str:
    scale = _number(alignment.scale, alignment.scale_error)
    sign = "-" if alignment.shift < 0 else "+"
    shift = f"{sign} {_number(abs(alignment.shift), alignment.shift_error)}"
    kind = alignment.prediction_type
    left = "1 / depth" if kind == "disparity" else "depth"
    if alignment.space == "log":
        return f"log({left}) = {scale} * log({kind}) {shift}"
    return f"{left} = {scale} * {kind}" + ("" if alignment.scale_only else f" {shift}")


def _number(value: float, error: float) -> str:
    return f"{value:.4g}" if math.isnan(error) or error == 0 else f"({value:.4g} ± {error:.1g})"


def _percent(value: float) -> str:
    return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
