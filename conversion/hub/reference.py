"""The reference output that a model directory carries: what its weights predicted when they were converted or trained.

    python -m conversion.hub.reference DIRECTORY            compares, through its own code (trust_remote_code)
    python -m conversion.hub.reference DIRECTORY --write    writes it

This file imports nothing of the project, so that a directory can be checked as its users will load it.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

REFERENCE_FILE = "reference.safetensors"
# of the largest value: between float32 builds of torch a deep encoder differs by some 1e-5, a wrong weight by more
TOLERANCE = 1e-3


class ReferenceMismatch(ValueError):
    """A reference output that is missing, unreadable or not met."""


def reference_image(height: int = 112, width: int = 160) -> np.ndarray:
    """A street-like picture `(height, width, 3)`, uint8: sky above ground, boxes that stand on it, sensor noise."""
    rng = np.random.default_rng(0)
    rows = np.linspace(0, 1, height)[:, None, None]
    image = np.where(rows < 0.4, [130, 170, 220] + 60 * rows, [90, 85, 80] + 70 * rows) * np.ones((1, width, 1))
    for nearness in np.sort(rng.uniform(0.1, 1, 12)):
        bottom = int((0.4 + 0.55 * nearness) * height)
        tall, wide = int(0.5 * nearness * height) + 2, int(0.2 * nearness * width) + 2
        left = int(rng.uniform(0, width - wide))
        image[max(0, bottom - tall) : bottom, left : left + wide] = rng.uniform(30, 230, 3)
    return (image + rng.normal(0, 3, image.shape)).round().clip(0, 255).astype(np.uint8)


def predict(model, processor, image: np.ndarray) -> torch.Tensor:
    """`predicted_depth` `(height, width)`, float32, of an image at its own size."""
    inputs = processor(image, do_resize=False, return_tensors="pt")
    with torch.inference_mode():
        return model.eval()(pixel_values=inputs["pixel_values"]).predicted_depth[0]


def write_reference(model, processor, directory: Path | str) -> Path:
    """
    Writes `reference.safetensors`: the image and what `model` (float32, CPU) predicts for it, disparity or depth.

    Raises:
        ValueError: there is one already, or the prediction has no contrast that a comparison could rest on.
    """
    path = Path(directory) / REFERENCE_FILE
    if path.exists():
        raise ReferenceMismatch(f"{path} exists; delete it to write a new reference.")
    image = reference_image()
    prediction = predict(model, processor, image)
    if not torch.isfinite(prediction).all() or prediction.max() == prediction.min():
        raise ReferenceMismatch(
            f"The model in {directory} predicts the same value, or NaN, everywhere; is it trained?"
        )
    from anydepth_hf.atomic_write import atomic_write  # who writes has the package; who checks needs it not

    tensors = {"image": torch.from_numpy(image), "predicted_depth": prediction.contiguous()}
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, {"prediction_type": model.config.prediction_type})
    return path


def check_reference(model, processor, directory: Path | str) -> float:
    """
    Compares the model's prediction with the directory's reference.

    Returns:
        The largest difference, relative to the reference's largest value.

    Raises:
        ValueError: no reference, of another kind (disparity or depth), or a difference above the tolerance.
    """
    path = Path(directory) / REFERENCE_FILE
    if not path.is_file():
        raise ReferenceMismatch(
            f"{directory} has no {REFERENCE_FILE}; write it on the machine that made the weights, with "
            f"`python -m conversion.hub.reference {directory} --write`."
        )
    try:
        with safe_open(path, "pt") as file:
            image, expected = file.get_tensor("image").numpy(), file.get_tensor("predicted_depth")
            kind = (file.metadata() or {}).get("prediction_type")
    except SafetensorError as error:
        raise ReferenceMismatch(f"{path} cannot be read ({error}); delete it and write it again.") from None
    if kind != model.config.prediction_type:
        raise ReferenceMismatch(f"{path} holds {kind}, but the model predicts {model.config.prediction_type}.")
    difference = ((predict(model, processor, image) - expected).abs().max() / expected.abs().max()).item()
    if not difference <= TOLERANCE:
        raise ReferenceMismatch(
            f"The model in {directory} does not give its reference output: it differs by {difference:.2g} of the "
            f"largest value (allowed: {TOLERANCE:g}); the weights, the configuration or the code have changed."
        )
    return difference


def main(argv: list[str] | None = None) -> int:
    """Writes or checks a reference; 0, or 2 with one sentence, without the project's code, which may not be here."""
    parser = argparse.ArgumentParser(
        description="Write or check the reference output of a model directory.", allow_abbrev=False
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--write", action="store_true", help="write it instead of checking")
    arguments = parser.parse_args(argv)
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation  # takes seconds: not for `--help`

    try:
        processor = AutoImageProcessor.from_pretrained(arguments.directory, trust_remote_code=True)
        model, info = AutoModelForDepthEstimation.from_pretrained(
            arguments.directory, trust_remote_code=True, dtype=torch.float32, output_loading_info=True
        )
        if absent := sorted(info["missing_keys"]):
            raise ReferenceMismatch(f"{arguments.directory} lacks {len(absent)} of its weights, {absent[0]} for one.")
        if arguments.write:
            print(f"wrote {write_reference(model, processor, arguments.directory)}")
        else:
            difference = check_reference(model, processor, arguments.directory)
            print(f"matches its reference output to {difference:.1g} of the largest value")
    except Exception as error:  # OSError, ValueError, SafetensorError ... of whatever the directory holds
        place = "" if isinstance(error, ReferenceMismatch) else f"{arguments.directory} does not load: "
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"reference.py: {place}{reason}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
