"""Report of the quality filter: a Markdown page with histograms, kept shares, and the best and worst samples."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anydepth_hf.atomic_write import atomic_write, atomic_write_text
from anydepth_hf.extras import require
from training.data.decoding import DataError
from training.data.readers import DepthSample
from training.data.sources import DatasetSpec
from training.filtering.score_files import SCORE_COLUMNS
from training.filtering.scores import SelectionRule

if TYPE_CHECKING:
    import pyarrow

PUBLISHED = {  # arXiv 2601.02760: samples, samples kept, mean S_dist, mean S_grad (Fig. 5 and App. A.2)
    "hypersim": (39648, 26912, 0.612, 0.548),
    "vkitti2": (19559, 12643, 0.388, 0.421),
    "blendedmvs": (115142, 74838, 0.435, 0.590),
    "irs": (103316, 68211, 0.443, 0.527),
    "tartanair": (306637, 186693, 0.328, 0.454),
}
COLUMNS = {"distribution": "Depth distribution", "gradient": "Gradient continuity", "total": "Mean of both"}
KEPT, DROPPED = "#2a7fb8", "#c9ced6"


def write_report(
    output: Path,
    scores: dict[str, tuple[dict, "pyarrow.Table"]],
    selection: dict[str, tuple[np.ndarray, dict[str, float]]],
    rule: SelectionRule,
    num_samples: int,
) -> Path:
    """Writes `report.md` and its pictures into a folder, in place of a report there; returns the page's path.

    Args:
        scores: settings and table of each data set, from `load_scores`.
        selection: kept samples and cuts of each data set, by `rule`.
        num_samples: images on each sheet.
    """
    output.mkdir(parents=True, exist_ok=True)
    tables = {label: _columns(table) for label, (_, table) in scores.items()}
    _draw_histograms(output / "histograms.png", tables, selection)
    page = [
        "# Quality filter\n",
        f"Dropped: samples with less than {rule.min_valid:.0%} valid pixels, then the lowest {rule.drop:.0%} "
        + ("by each of the two scores" if rule.criterion == "each" else "by the mean of the two scores")
        + (", in each data set" if rule.scope == "dataset" else ", over all data sets together")
        + ". Scores are of depth (not disparity).\n",
        _table(tables, selection, rule.min_valid),
        "The columns marked *published* are the paper's (arXiv 2601.02760), of its own copies of the data sets; the "
        "others were measured here.\n",
        "![Histograms of the scores](histograms.png)\n",
        "Blue: kept. Grey: dropped, by this score, the other, or for its valid pixels. Line: this score's cut.\n",
    ]
    for label, (settings, table) in scores.items():
        page.append(f"## {label}\n")
        page += _describe_unreadable(table)
        spec = DatasetSpec.parse(settings["dataset"])
        readable = np.flatnonzero(np.isfinite(tables[label]["total"]))
        order = readable[np.argsort(tables[label]["total"][readable], kind="stable")]
        for title, indices in (("Best", order[::-1][:num_samples]), ("Worst", order[:num_samples])):
            name = f"{label}-{title.lower()}.png"
            if len(indices):
                _draw_sheet(output / name, spec, table, tables[label], selection[label][0], indices)
                page.append(f"{title} by the mean of both scores: image, and depth from near (bright) to far.\n")
                page.append(f"![{title} samples of {label}]({name})\n")
    atomic_write_text(output / "report.md", "\n".join(page))
    return output / "report.md"


def _columns(table: "pyarrow.Table") -> dict[str, np.ndarray]:
    values = {name: table[name].to_numpy() for name in SCORE_COLUMNS}
    return {**values, "total": (values["distribution"] + values["gradient"]) / 2}


def _table(tables: dict, selection: dict, min_valid: float) -> str:
    lines = [
        "| data set | samples | unreadable | too few valid pixels | kept | kept, published | S_dist | published "
        "| S_grad | published |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for label, columns in tables.items():
        keep, _ = selection[label]
        valid = columns["valid_fraction"]
        few = int((np.isfinite(valid) & (valid < min_valid)).sum())
        total, kept, distribution, gradient = PUBLISHED.get(label.split("-")[0], (None,) * 4)
        published = [f"{kept / total:.1%}", f"{distribution:.3f}", f"{gradient:.3f}"] if total else ["", "", ""]
        lines.append(
            f"| {label} | {len(keep)} | {int(np.isnan(valid).sum())} | {few} | {keep.sum()} ({keep.mean():.1%}) "
            f"| {published[0]} | {_mean(columns['distribution'])} | {published[1]} "
            f"| {_mean(columns['gradient'])} | {published[2]} |"
        )
    return "\n".join(lines) + "\n"


def _mean(column: np.ndarray) -> str:
    values = column[np.isfinite(column)]
    return f"{values.mean():.3f}" if len(values) else "-"


def _describe_unreadable(table: "pyarrow.Table") -> list[str]:
    if not (errors := table["error"].drop_null().to_pylist()):
        return []
    heading = f"{len(errors)} depth files could not be read" + (", the first ten" if len(errors) > 10 else "")
    return [f"{heading}:\n", "\n".join(f"- {error}" for error in errors[:10]) + "\n"]


def _pyplot():
    require("matplotlib", "train").use("Agg")
    return require("matplotlib.pyplot", "train")


def _save(figure, path: Path) -> None:
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110)
    _pyplot().close(figure)


def _draw_histograms(path: Path, tables: dict, selection: dict) -> None:
    plt = _pyplot()
    size = (11, 0.7 + 1.9 * len(tables))
    figure, axes = plt.subplots(
        len(tables), len(COLUMNS), figsize=size, squeeze=False, layout="constrained", sharex=True
    )
    bins = np.linspace(0, 1, 51)
    for axis, title in zip(axes[0], COLUMNS.values()):
        axis.set_title(title, fontsize=11)
    for row, (label, columns) in zip(axes, tables.items()):
        keep, cuts = selection[label]
        for axis, name in zip(row, COLUMNS):
            values, readable = columns[name], np.isfinite(columns[name])
            parts = [values[readable & keep], values[readable & ~keep]]
            axis.hist(parts, bins, stacked=True, color=[KEPT, DROPPED], label=["kept", "dropped"])
            if np.isfinite(cuts.get(name, np.nan)):
                axis.axvline(cuts[name], color="#d1495b", linewidth=1.2)
            axis.set_yticks([])
            axis.spines[["left", "right", "top"]].set_visible(False)
        row[0].set_ylabel(f"{label}\n{len(keep)} samples", rotation=0, ha="right", va="center", fontsize=10)
    figure.legend(
        *axes[0][0].get_legend_handles_labels(), loc="outside lower right", ncols=2, frameon=False, fontsize=9
    )
    figure.supxlabel("score", fontsize=10)
    _save(figure, path)


def _draw_sheet(path: Path, spec: DatasetSpec, table, columns: dict, keep: np.ndarray, indices: np.ndarray) -> None:
    plt = _pyplot()
    reader = spec.reader()
    samples: list[DepthSample | str] = []
    for index in indices.tolist():
        try:
            samples.append(_shrink(reader(table["rgb"][index].as_py(), table["depth"][index].as_py())))
        except DataError as error:
            samples.append(str(error))
    shapes = [sample.depth.shape for sample in samples if not isinstance(sample, str)] or [(3, 4)]
    tile = 3 * max(height / width for height, width in shapes) + 0.3  # inches, with a line of text
    across = min(4, len(samples))
    down = -(-len(samples) // across)
    figure, axes = plt.subplots(2 * down, across, figsize=(3 * across, 2 * tile * down), squeeze=False, layout="tight")
    for axis in axes.flat:
        axis.axis("off")
    for place, (index, sample) in enumerate(zip(indices.tolist(), samples)):
        above, below = (axes[2 * (place // across) + offset][place % across] for offset in (0, 1))
        above.set_title(
            f"distribution {columns['distribution'][index]:.2f}  gradient {columns['gradient'][index]:.2f}  "
            + ("kept" if keep[index] else "dropped"),
            fontsize=8,
        )
        if isinstance(sample, str):
            above.text(0.5, 0.5, sample, wrap=True, ha="center", va="center", fontsize=7, transform=above.transAxes)
            continue
        above.imshow(sample.image)
        below.imshow(_colour_depth(sample))
        depths = sample.depth[sample.valid] if sample.valid.any() else np.zeros(1)
        unit = " m" if sample.is_metric else ""
        below.set_title(f"{depths.min():.3g} to {depths.max():.3g}{unit}, {sample.valid.mean():.0%} valid", fontsize=8)
    _save(figure, path)


def _shrink(sample: DepthSample) -> DepthSample:
    """Every n-th pixel, about 400 in a row: a sheet shows no more."""
    step = max(1, round(sample.depth.shape[1] / 400))
    arrays = (array[::step, ::step] for array in (sample.image, sample.depth, sample.valid))
    return DepthSample(*arrays, sample.is_metric, sample.name)


def _colour_depth(sample: DepthSample) -> np.ndarray:
    """RGBA picture of log depth between its 1st and 99th percentile; pixels without a label are grey."""
    values = np.log(np.where(sample.valid, sample.depth, 1))
    low, high = np.percentile(values[sample.valid], (1, 99)) if sample.valid.any() else (0, 1)
    scaled = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    colours = require("matplotlib", "train").colormaps["magma_r"](scaled)
    colours[~sample.valid] = 0.6, 0.6, 0.6, 1
    return colours
