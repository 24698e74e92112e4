"""Paragraphs of a model card, by what the model is."""

from pathlib import Path
from typing import Any

import yaml

from anydepth_hf import AnyDepthConfig
from anydepth_hf.benchmark import input_size
from anydepth_hf.flops import count
from anydepth_hf.licenses import APACHE, License

from .card_results import PAPER, Measured, measured_table, published_table
from .release_list import Release

ENCODER_PAPERS = {
    "dinov3": "DINOv3, arXiv:2508.10104",
    "dav2": "Depth Anything V2, arXiv:2406.09414",
    "da3": "Depth Anything 3, arXiv:2511.10647",
    "vggt": "VGGT, arXiv:2503.11651",
}
HEADS = {"sdt": "SDT (Simple Depth Transformer)", "dpt": "DPT", "dual_dpt": "the depth branch of Dual-DPT"}
# Training data of the paper's tables, as the Hub's metadata and as people name them.
TABLE_2_DATA = {
    "hypersim": "Hypersim",
    "virtual-kitti-2": "Virtual KITTI 2",
    "blendedmvs": "BlendedMVS",
    "irs": "IRS",
    "tartanair": "TartanAir",
}
TABLE_3_DATA = {name: TABLE_2_DATA[name] for name in ("hypersim", "virtual-kitti-2")}


def summary(item: Release, entry: dict[str, Any], directory: Path | None) -> str:
    head = {
        "authors": f"with the SDT head that the authors of the paper released (`{item.decoder}`)",
        "official": "with the head that it was released with",
        "trained": "with a head trained by `training/train.py`",
    }[item.origin]
    if entry["published"] is None and item.origin == "official":
        source = f"**Not in the paper** of [AnyDepth]({PAPER}): encoder and head are its authors' own."
    elif entry["published"] is None:
        source = f"**Not in the paper**: this project's own configuration of the head of [AnyDepth]({PAPER})."
    else:
        source = f"A preset of [AnyDepth]({PAPER}), {entry['published']['source'].split(', ')[1]}."
    text = (
        f"Monocular depth estimation: the encoder of `{entry['encoder']['id']}` {head}, as a model of Hugging Face "
        f"Transformers. {source}"
    )
    missing = item.origin == "trained" and directory is None
    return f"{text} No trained weights of it are released yet." if missing else text


def meaning(config: AnyDepthConfig) -> str:
    if config.prediction_type == "depth" and config.depth_estimation_type == "metric":
        return "`predicted_depth` is **depth** in metres: large is far."
    if config.prediction_type == "depth":
        return (
            "`predicted_depth` is **depth** up to a factor that differs from image to image: large is far. It is not "
            "in metres."
        )
    return (
        "`predicted_depth` is **disparity**, 1 / depth, up to a scale and a shift that are unknown and differ from "
        "image to image: large is near. **It is not depth**, and neither is its inverse. Where some depths are known, "
        "fit `scale` and `shift` so that `scale * predicted_depth + shift` is 1 / depth there, and pass both to "
        '`processor.post_process_depth_estimation(..., output_type="depth", scale=scale, shift=shift)`.'
    )


def architecture(config: AnyDepthConfig, encoder: str) -> str:
    side = input_size(config, 512)
    counts = count(config, side, side)
    layers = ", ".join(str(index - 1) for index in config.backbone_config.out_indices)
    return (
        f"{encoder}; its blocks {layers} (counted from 0) feed {HEADS[config.head_type]}. "
        f"{counts.parameters / 1e6:.1f} M parameters, {counts.decoder_parameters / 1e6:.2f} M of them in the head; "
        f"{counts.flops / 1e9:.1f} GFLOPs for an image of {side}x{side}, {counts.decoder_flops / 1e9:.1f} of them in "
        "the head (2 per multiply-add). Images are resized by the processor to sides that are multiples of "
        f"{config.patch_size}, keeping their aspect ratio."
    )


def results(measured: list[Measured], published: dict[str, Any] | None, origin: str) -> str:
    parts = ["### Measured"]
    if measured:
        parts.append(measured_table(measured))
        parts.append("By `training/evaluate.py` of this project: mean over images, at the size of the ground truth.")
    else:
        parts.append("Nothing was measured with these weights yet; `training/evaluate.py` does it.")
    if published is not None:
        about = {
            "authors": "for this preset, by the authors of its head",
            "official": "for heads of this kind that its authors fine-tuned; the weights here are the encoder's own "
            "release, without that fine-tuning",
            "trained": "for its authors' weights, which are not published; the weights here are others",
        }[origin]
        parts += [
            "### Reported by the paper",
            f"{published['source']}, {about}. The paper does not describe alignment, image counts and sizes, so these "
            "are not comparable with measured numbers.",
            published_table(published),
        ]
    return "\n\n".join(parts)


def training(item: Release, entry: dict[str, Any], directory: Path | None) -> tuple[str, list[str]]:
    """What is said about the training data, and its data sets for the metadata."""
    table = TABLE_2_DATA if entry["encoder"]["source"] == "dinov3" else TABLE_3_DATA
    names = ", ".join(table.values())
    encoder = entry["encoder"]["id"]
    if item.origin == "official":
        return f"Encoder and head are as released in `{encoder}`, whose card names the data.", []
    if item.origin == "authors":
        text = (
            f"The paper's authors trained the head, from random weights, on {names}; the encoder began with the "
            f"weights of `{encoder}`, whose card names its data. Whether it was trained along is not stated: where "
            "the authors' file holds an encoder, it is that one, else the released one."
        )
    elif directory is not None:
        return f"The head: {trained_on(directory)}. The encoder: see the card of `{encoder}`.", []
    else:
        text = (
            f"The head: {names}, by the recipe `training/configs/{item.preset}.yaml`. The encoder: see the card of "
            f"`{encoder}`."
        )
    return text, list(table)


def trained_on(directory: Path) -> str:
    """The data sets of a directory that `training/train.py` wrote. Raises `ValueError` for another one."""
    path = directory / "training_config.yaml"
    if not path.is_file():
        raise ValueError(f"{directory} has no training_config.yaml, so it is no result of training/train.py.")
    data = yaml.safe_load(path.read_text(encoding="utf-8")).get("dataset") or []
    data = data if isinstance(data, list) else [data]
    names = ", ".join(str(item.get("name", item)) if isinstance(item, dict) else str(item) for item in data)
    return f"{names} (`training_config.yaml` has all options, `run.json` the versions)"


SKY_WITHOUT_LABEL = (
    "Sky and everything beyond the training's far plane carry no label, so values there are extrapolated."
)


def limits(config: AnyDepthConfig, of_training: list[str]) -> str:
    points = []
    if config.depth_estimation_type == "relative":
        points.append(
            "No metric scale: it differs from image to image, so frames of a video flicker and predictions of "
            "different images cannot be compared."
        )
    points += [
        "The camera's focal length is not used.",
        *of_training,
        "Glass, mirrors and pictures of scenes are often read as what they show.",
        "Not for measuring distances where a wrong one does harm.",
    ]
    return "\n".join(f"- {point}" for point in points)


def license_rows(weights: License, parts: dict[str, License]) -> list[tuple[str, str]]:
    named = {"the weights in this repository": weights, **parts, "code, remote code included": APACHE}
    return [(name, f"[{item.title}]({item.url})") for name, item in named.items()]
