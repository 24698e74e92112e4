"""Files of `anydepth export` in a model directory: what of them goes to the Hub, checks, and the card's section."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from anydepth_hf import AnyDepthImageProcessor
from anydepth_hf.atomic_write import atomic_write_text
from anydepth_hf.export import REPORT, parts
from anydepth_hf.export_check import LIMITS
from anydepth_hf.export_formats import open_file

from .reference import REFERENCE_FILE

# `torch.export` files are not among them: loading one runs code from it.
UPLOADED_FORMATS = ("onnx", "openvino", "executorch")
BEGIN, END = "<!-- exported files -->", "<!-- end of exported files -->"

SECTION = f"""{BEGIN}
## Exported files

| file | MB | largest difference from PyTorch, of the largest value |
|---|---|---|
{{rows}}
Batch, height and width are free (not in ExecuTorch files), the map has the input's size, and each file says \
what goes in and what comes out.
"""
ONNX_USE = """
With NumPy, Pillow and ONNX Runtime alone (`pip install --no-deps anydepth-hf`):

```bash
hf download REPOSITORY --include "onnx/*" --local-dir model
anydepth predict picture.jpg --model model
```

In JavaScript, with transformers.js 4:

```js
import { AutoConfig, AutoImageProcessor, AutoModelForDepthEstimation, DepthEstimationPipeline } from \
"@huggingface/transformers";

const name = "REPOSITORY";
const config = await AutoConfig.from_pretrained(name);
config.model_type = "depth_anything"; // a graph from pixel_values to predicted_depth
const model = await AutoModelForDepthEstimation.from_pretrained(name, { config, dtype: "fp32" });
const processor = await AutoImageProcessor.from_pretrained(name);
const estimate = new DepthEstimationPipeline({ task: "depth-estimation", model, processor });
const { predicted_depth } = await estimate("picture.jpg");
```
"""


class ExportedFilesError(ValueError):
    """An exported file that is not fit for the Hub; the message is one sentence."""


def read_report(directory: Path) -> list[dict[str, Any]]:
    """Entries of the report for the files that are uploaded; none where nothing was exported.

    Raises:
        ExportedFilesError: the report cannot be read, or names a file that is missing or has another size.
    """
    path = directory / REPORT
    if not path.is_file():
        return []
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        entries = [file for file in files if file["format"] in UPLOADED_FORMATS]
        for entry in entries:
            file = directory / entry["file"]
            is_inside = file.resolve().is_relative_to(directory.resolve())
            size = sum(part.stat().st_size for part in parts(file)) if is_inside and file.is_file() else None
            if size != entry["bytes"]:
                raise ExportedFilesError(
                    f"{path} lists {entry['file']} with {entry['bytes']} bytes, which is not what is there; export "
                    "again with --overwrite."
                )
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ExportedFilesError(f"{path} cannot be read ({error}); export again.") from None
    return entries


def exported_files(directory: Path) -> dict[str, Path]:
    """Exported files by name in the repository, the report with them."""
    entries = read_report(directory)
    files = [part for entry in entries for part in parts(directory / entry["file"])]
    return {path.relative_to(directory).as_posix(): path for path in [directory / REPORT, *files] if entries}


@torch.inference_mode()
def check_exported(directory: Path) -> str:
    """
    Runs each ONNX and OpenVINO file on the directory's reference image.

    Returns:
        What was found, for the log; empty where nothing was exported.

    Raises:
        ExportedFilesError: a file that does not give the reference output, so is another model's.
        ImportError: the runtime is missing.
    """
    entries = [entry for entry in read_report(directory) if entry["format"] != "executorch"]
    if not entries:
        return ""
    reference = load_file(directory / REFERENCE_FILE)
    processor = AnyDepthImageProcessor.from_pretrained(directory)
    image = processor(reference["image"].numpy(), do_resize=False, return_tensors="pt").pixel_values
    expected = reference["predicted_depth"]
    for entry in entries:
        actual = open_file(entry["format"], directory / entry["file"])(image)[0]
        difference = ((actual - expected).abs().max() / expected.abs().max()).item()
        if not difference <= LIMITS[entry["precision"]]:
            raise ExportedFilesError(
                f"{directory / entry['file']} does not give the model's reference output (it differs by "
                f"{difference:.1g} of the largest value); export the model again with --overwrite."
            )
    return f"{len(entries)} exported file{'s' * (len(entries) > 1)} too"


def section(entries: list[dict[str, Any]], repo_id: str) -> str:
    """The card's section about exported files."""
    rows = "".join(
        f"| `{entry['file']}` | {entry['bytes'] / 1e6:.1f} | {max(e['max_error'] for e in entry['errors']):.1e} |\n"
        for entry in entries
    )
    has_onnx = any(entry["format"] == "onnx" for entry in entries)
    return SECTION.format(rows=rows) + (ONNX_USE.replace("REPOSITORY", repo_id) if has_onnx else "") + f"{END}\n"


def show_in_card(directory: Path, repo_id: str) -> None:
    """Brings the section of the directory's `README.md` up to date, before `## Model` where there is one."""
    path = directory / "README.md"
    entries = read_report(directory)
    if not path.is_file() or not (entries or BEGIN in path.read_text(encoding="utf-8")):
        return
    text = path.read_text(encoding="utf-8")
    if BEGIN in text and END in text:
        before, after = text.split(BEGIN)[0], text.split(END)[1].lstrip("\n")
    else:
        before, heading, after = text.partition("\n## Model\n")
        before, after = before.rstrip() + "\n\n", heading.lstrip("\n") + after
    new = before + (section(entries, repo_id) + "\n" if entries else "") + after
    if new.rstrip() != text.rstrip():
        atomic_write_text(path, new.rstrip() + "\n")
