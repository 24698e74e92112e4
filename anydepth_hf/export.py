"""Exports a model to files of other runtimes, each compared with PyTorch before it is kept.

`export_model` is what the command `anydepth export` runs.
"""

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers.utils import logging

from .atomic_write import atomic_write_json, atomic_write_text, move, remove_leftovers, temporary_name
from .bundled_checkpoint import BUNDLED_CHECKPOINT
from .environment import package_versions
from .export_check import LIMITS, check_sizes, compare
from .export_formats import FILES, Exporter, open_file, require_packages
from .export_metadata import describe_model
from .image_io import find_images, open_image
from .loading import load_model
from .modeling_anydepth import AnyDepthForDepthEstimation

REPORT = "anydepth_export.json"
"""What was exported with which versions, and its errors; lies in the output folder."""
# Its class of this name is any graph from `pixel_values` to `predicted_depth`.
TRANSFORMERS_JS_TYPE = "depth_anything"
PACKAGES = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "openvino", "nncf", "executorch")


def export_model(
    model: AnyDepthForDepthEstimation,
    processor: Any,
    output: str | os.PathLike,
    formats: Sequence[str] = ("onnx",),
    precisions: Sequence[str] = ("fp32",),
    *,
    calibration: Sequence[Any] = (),
    fixed_size: tuple[int, int] | None = None,
    overwrite: bool = False,
    transformers_js: bool = False,
    source: str | None = None,
) -> list[dict[str, Any]]:
    """
    Writes a model in other formats, with its configuration and processor beside them.

    Every file but ExecuTorch's takes any batch size, height and width, and gives a map of the input's size. Each is
    opened in its own runtime and compared with the model at sizes that it was not traced with before it gets its
    name, so a file that exists is a file that was checked.

    Args:
        model: an AnyDepth model, any dtype and device; it is exported from float32 on the CPU.
        processor: its image processor, whose constants each file carries.
        output: folder, made where it does not exist. The files' names are those of `FILES`.
        formats: of `"onnx"`, `"openvino"`, `"executorch"` and `"torch"`.
        precisions: of `"fp32"`, `"fp16"`, `"int8"` (weights; activations as they come) and `"int8-static"`
            (both, by `calibration`).
        calibration: images as the processor takes them, for `"int8-static"`.
        fixed_size: height and width of an ExecuTorch file; a square of the processor's size when not given.
        overwrite: replace files that exist.
        transformers_js: write `config.json` and `preprocessor_config.json` for transformers.js, which knows neither
            AnyDepth nor its processor, instead of AnyDepth's own.
        source: name of the model for the report.

    Returns:
        One dictionary per file: `file`, `format`, `precision`, `bytes`, and `errors` as [`compare`] gives them.

    Raises:
        ValueError: something that cannot be exported, a file that exists, or a file that differs too much from the
            model; nothing of it is written.
        ImportError: a package is missing; the message names the extra.
    """
    output = Path(output)
    variants = plan(formats, precisions, has_calibration=len(calibration) > 0)
    check_model(model, precisions)
    check_output(output, variants, overwrite, transformers_js, source)
    model = model.to("cpu", torch.float32).eval()
    if "executorch" in formats:
        fixed_size = executorch_size(fixed_size, processor, model.config.patch_size)
    description = describe_model(model.config, processor)
    batches = [processor(image, return_tensors="pt").pixel_values for image in calibration]
    exporter = Exporter(model, description, batches, fixed_size)
    photo = np.array(open_image(Path(BUNDLED_CHECKPOINT) / "coffee.jpg").convert("RGB"))
    is_new = not output.exists()
    remove_leftovers(output)
    results = []
    staging = temporary_name(output / "export")
    try:
        for format, precision in tqdm(variants, unit="file", disable=len(variants) < 2):
            path = staging / FILES[format, precision]
            path.parent.mkdir(parents=True, exist_ok=True)
            exporter.write(format, precision, path)
            result = {"file": FILES[format, precision], "format": format, "precision": precision}
            result["bytes"] = sum(file.stat().st_size for file in parts(path))
            result["errors"] = check_file(model, format, precision, path, photo, description, fixed_size)
            for file in parts(path):
                target = output / file.relative_to(staging)
                target.parent.mkdir(parents=True, exist_ok=True)
                move(file, target)
            results.append(result)
    except BaseException:
        if is_new and not results:
            shutil.rmtree(output, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    texts = {"config.json": model.config.to_json_string(), "preprocessor_config.json": processor.to_json_string()}
    if transformers_js:
        texts = {name: json.dumps(content, indent=2) + "\n" for name, content in for_transformers_js(processor)}
    for name, text in texts.items():
        # as text: `save_pretrained` would add code files, which an exported model does not need
        if transformers_js or not (output / name).exists():
            atomic_write_text(output / name, text)
    write_report(output, results, description, source)
    return results


def plan(formats: Sequence[str], precisions: Sequence[str], has_calibration: bool) -> list[tuple[str, str]]:
    """Formats and precisions of the files to write. Raises ValueError or ImportError for what cannot be."""
    variants = [(format, precision) for format in dict.fromkeys(formats) for precision in dict.fromkeys(precisions)]
    for format, precision in variants:
        if (format, precision) not in FILES:
            known = [name for other, name in FILES if other == format]
            if not known:
                raise ValueError(f"unknown format {format!r}; choose from {', '.join(dict(FILES))}.")
            raise ValueError(f"{format} is not written in {precision}, only in {', '.join(known)}.")
    if "int8-static" in precisions and not has_calibration:
        raise ValueError(
            "int8-static is calibrated on photographs; give a folder of them with --calibration FOLDER "
            "(or take int8, which needs none)."
        )
    for variant in variants:
        require_packages(*variant)
    return variants


def check_model(model: Any, precisions: Sequence[str]) -> None:
    """Raises ValueError for a model that cannot be exported."""
    if hasattr(model, "peft_config") or getattr(model, "_hf_peft_config_loaded", False):
        raise ValueError("The model has adapters; merge them first (`model = model.merge_and_unload()`).")
    if not isinstance(model, AnyDepthForDepthEstimation):
        raise ValueError(
            f"{type(model).__name__} is no AnyDepth model; `transformers.exporters` exports other models."
        )
    if getattr(model, "is_quantized", False):
        raise ValueError("The weights are quantised already; export the float model with --precision int8 instead.")
    if "fp16" in precisions:
        limit = torch.finfo(torch.float16).max
        if any(value.abs().max() > limit for value in model.state_dict().values() if value.is_floating_point()):
            raise ValueError("The model has weights that float16 cannot hold; export fp32 or int8.")


def check_output(
    output: Path, variants: Sequence[tuple[str, str]], overwrite: bool, transformers_js: bool, source: str | None
) -> None:
    """Raises ValueError where something would be written over that should not be, or files of two models mixed."""
    if output.is_file():
        raise ValueError(f"{output} is a file; --output names a folder.")
    earlier = read_report(output)["source"]
    if None not in (earlier, source) and earlier != source:
        raise ValueError(f"{output} holds files of {earlier} and its settings; give {source} a folder of its own.")
    for variant in variants:
        path = output / FILES[variant]
        if path.exists() and not overwrite:
            raise ValueError(f"{path} exists; --overwrite replaces it.")
    path = output / "config.json"
    if transformers_js and path.exists():
        try:
            is_ours = json.loads(path.read_text(encoding="utf-8")).get("model_type") == TRANSFORMERS_JS_TYPE
        except (ValueError, AttributeError):
            is_ours = False
        if not is_ours:
            raise ValueError(f"{path} is another model's; --transformers-js needs a folder of its own.")


def for_transformers_js(processor: Any) -> list[tuple[str, dict[str, Any]]]:
    """Names and contents of the files by which transformers.js 4 takes the graph for one that it knows."""
    settings = processor.to_dict()
    kept = [name for name in settings if name.startswith(("do_", "image_m", "image_s", "resc", "resam", "size"))]
    # this means nothing to it, but to the page in examples/browser; the graph itself takes any size
    kept.append("ensure_multiple_of")
    config = {"model_type": TRANSFORMERS_JS_TYPE, "architectures": ["DepthAnythingForDepthEstimation"]}
    preprocessor = {"image_processor_type": "DPTImageProcessor", **{name: settings[name] for name in kept}}
    return [("config.json", config), ("preprocessor_config.json", preprocessor)]


def executorch_size(size: tuple[int, int] | None, processor: Any, patch: int) -> tuple[int, int]:
    """The height and width that were asked for, or the square of the processor's size. Raises ValueError."""
    if size is None:
        side = max(patch, min(filter(None, dict(processor.size).values())) // patch * patch)
        return side, side
    if any(side % patch for side in size):
        raise ValueError(f"--size must be multiples of the patch size, {patch}; got {size[0]} {size[1]}.")
    return size


def parts(path: Path) -> list[Path]:
    """The files that `path` consists of: itself, and weights beside it."""
    companions = (path.with_name(f"{path.name}.data"), path.with_suffix(".bin"))
    return [path, *(file for file in companions if file.exists())]


def check_file(
    model: AnyDepthForDepthEstimation,
    format: str,
    precision: str,
    path: Path,
    photo: np.ndarray,
    description: dict[str, Any],
    fixed_size: tuple[int, int] | None,
) -> list[dict[str, Any]]:
    """Errors of a written file, by [`compare`]. Raises ValueError where they are too large."""
    encoder = model.config.backbone_config
    # DINOv3's positions are computed for any size
    sizes = check_sizes(encoder.patch_size, None if encoder.model_type == "dinov3_vit" else encoder.image_size)
    if format == "executorch":
        sizes = [(1, *fixed_size)]
    try:
        errors = compare(model, open_file(format, path), photo, sizes, description)
        worst = max(error["max_error"] for error in errors)
        if worst > LIMITS[precision]:
            raise ValueError(
                f"it differs from the model by {worst:.1e} of the largest value, more than {LIMITS[precision]:.0e}"
            )
    except ValueError as error:
        raise ValueError(f"{FILES[format, precision]} was not kept: {error}.") from None
    return errors


def read_report(output: Path) -> dict[str, Any]:
    """The report of earlier runs in a folder, empty where there is none. Raises ValueError for a damaged one."""
    path = output / REPORT
    if not path.exists():
        return {"source": None, "files": []}
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        if all(isinstance(file["file"], str) for file in report["files"]) and "source" in report:
            return report
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"{path} is damaged; remove it, or give another --output.")


def write_report(output: Path, results: list[dict[str, Any]], description: dict[str, Any], source: str | None) -> None:
    """The report of all files in the folder, those of earlier runs too."""
    written = {result["file"] for result in results}
    earlier = read_report(output)["files"]
    versions = package_versions(PACKAGES)
    for result in results:
        result["versions"] = versions
    kept = [file for file in earlier if file["file"] not in written and (output / file["file"]).exists()]
    report = {"source": source, "description": description, "files": kept + results}
    atomic_write_json(output / REPORT, report)


def run(args: argparse.Namespace) -> int:
    """Runs the command `anydepth export`."""
    for option, value, wanted in (
        ("--size", args.size, "executorch"),
        ("--transformers-js", args.transformers_js, "onnx"),
        ("--calibration", args.calibration, "int8-static"),
    ):
        if value and wanted not in (*args.format, *args.precision):
            raise ValueError(f"{option} does nothing without {wanted}; leave it out.")
    variants = plan(args.format, args.precision, has_calibration=args.calibration is not None)
    name = args.model or BUNDLED_CHECKPOINT
    source = os.path.basename(os.path.normpath(name)) if os.path.isdir(name) else name
    check_output(args.output, variants, args.overwrite, args.transformers_js, source)
    images = []
    if "int8-static" in args.precision:
        if not args.calibration.is_dir():
            raise ValueError(f"{args.calibration} is no folder of photographs (--calibration).")
        paths = find_images(args.calibration)
        if not paths:
            raise ValueError(f"{args.calibration} holds no image that could be calibrated on.")
        step = max(1, len(paths) // args.calibration_images)
        images = [open_image(path) for path in paths[::step][: args.calibration_images]]
    logging.disable_progress_bar()
    model, processor = load_model(name, "cpu", "float32", args.trust_remote_code)
    results = export_model(
        model,
        processor,
        args.output,
        args.format,
        args.precision,
        calibration=images,
        fixed_size=args.size and tuple(args.size),
        overwrite=args.overwrite,
        transformers_js=args.transformers_js,
        source=source,
    )
    print("file                                            MB   largest error   mean error   (at sizes)")
    for result in results:
        sizes = " ".join("x".join(map(str, error["size"])) for error in result["errors"])
        worst = max(error["max_error"] for error in result["errors"])
        mean = max(error["mean_error"] for error in result["errors"])
        print(f"{result['file']:<42} {result['bytes'] / 1e6:>7.1f} {worst:>15.1e} {mean:>12.1e}   {sizes}")
    print(f"Errors are relative to the largest value that PyTorch gives; all of them are in {args.output / REPORT}.")
    return 0
