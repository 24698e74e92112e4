"""Fills the tables of docs/results.md and docs/evaluation.md from stored results; nobody types a number there.

    python -m benchmarks.results_page            # rewrites the blocks between the markers
    python -m benchmarks.results_page --check    # fails if they are not up to date

A block is `<!-- table NAME -->` ... `<!-- end table -->`; the names are those of `TABLES`. Results are what
`anydepth benchmark --json benchmarks/results/cost/NAME.json` and `training.evaluate` (its summary.json, copied to
benchmarks/results/accuracy/NAME.json, NAME a preset's or any other), `benchmarks.protocols` and `benchmarks.gpu`
write.
"""

import json
import re
import sys
from pathlib import Path

from anydepth_hf.atomic_write import atomic_write_text
from anydepth_hf.benchmark_report import FLOPS_NOTE, conditions, efficiency_table, markdown_table, parameter_table
from anydepth_hf.presets import preset, preset_names
from anydepth_hf.programs import Mistakes, Parser
from benchmarks.decoders import table as decoder_table
from training.evaluation.datasets import load_set
from training.evaluation.report import other_measures

SETS = ["nyuv2", "kitti", "eth3d", "scannet", "diode"]
BLOCK = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end table -->)", re.DOTALL)


def read_results(folder: Path) -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def parameters(results: Path) -> str:
    stored = read_results(results / "cost")
    if not stored:
        return "Not measured yet."
    merged = {name: entry for result in stored.values() for name, entry in result["parameters"].items()}
    return parameter_table({"parameters": merged})


def efficiency(results: Path) -> str:
    stored = read_results(results / "cost").values()
    parts = [f"{efficiency_table(result)}\n\n{conditions(result)}" for result in stored]
    return "\n\n".join([*parts, FLOPS_NOTE]) if parts else "Not measured yet."


def _cell(abs_rel: float | None, delta1: float | None) -> str:
    return "-" if abs_rel is None else f"{abs_rel:.1f} / {delta1:.1f}"


def published(results: Path) -> str:
    rows = [["Model", "Trained on", *(load_set(name).title for name in SETS)]]
    for name in preset_names():
        if (entry := preset(name)["published"]) is None:
            continue
        cells = [_cell(entry["abs_rel_percent"].get(s), entry["delta1_percent"].get(s)) for s in SETS]
        rows.append([preset(name)["title"], entry["training_data"], *cells])
    return markdown_table(rows) + "\n\nAbsRel % ↓ / δ1 % ↑ as the paper reports them, not measured here."


def measured(results: Path) -> str:
    """Models by data sets, under the table how each model's numbers came about; decoders on one encoder."""
    stored = read_results(results / "accuracy")
    compared = sorted(path for path in results.glob("decoders/*") if path.is_dir())
    decoders = [
        f"Decoders on one encoder (`benchmarks.decoders`), {path.name.replace('-', ' ')}:\n\n{decoder_table(path)}"
        for path in compared
    ]
    if not stored:
        return "\n\n".join(decoders) or "Not measured yet."
    sets = list(dict.fromkeys(name for result in stored.values() for name in result["datasets"]))
    titles = {
        s: e["definition"]["title"] for r in stored.values() for s, e in r["datasets"].items() if "definition" in e
    }
    rows = [["Model", *(titles.get(name, name) for name in sets)]]
    for model, result in stored.items():
        cells = []
        for name in sets:
            metrics = (result["datasets"].get(name) or {}).get("metrics")
            cells.append(_cell(*(100 * metrics[key] for key in ("abs_rel", "delta1"))) if metrics else "-")
        rows.append([preset(model)["title"] if model in preset_names() else model, *cells])
    notes = [f"{model}: {result['protocol']}" for model, result in stored.items()]
    return "\n\n".join([markdown_table(rows), "AbsRel % ↓ / δ1 % ↑, measured here.", *notes, *decoders])


GUESSES = {"bundled": "bundled model", "image-free-prior": "image-free prior", "constant": "constant"}


def protocols(results: Path) -> str:
    """Protocols by models, on one set of images."""
    stored = read_results(results / "protocols")
    if not stored:
        return "Not measured yet."
    names = [name for name in GUESSES if name in stored]
    rows = [["Protocol", *(f"{GUESSES[name]}, AbsRel % ↓ / δ1 % ↑" for name in names), "other, bundled model"]]
    first = stored[names[0]]
    left_out = sorted(first["not_measured"])
    for protocol, definition in first["protocols"].items():
        (entry,) = first["datasets"].values()
        # the pictures have nothing to do with each other: they make no clip
        if definition["fit"]["scope"] == "clip" or entry["protocols"][protocol]["metrics"] is None:
            left_out.append(protocol)
            continue
        cells, other = [], "-"
        for name in names:
            (entry,) = stored[name]["datasets"].values()
            metrics = (entry["protocols"].get(protocol) or {}).get("metrics") or {}
            pair = [metrics.get(metric) for metric in ("abs_rel", "delta1")]
            cells.append(_cell(*(None if value is None else 100 * value for value in pair)))
            if name == names[0]:
                other = other_measures(metrics)
        rows.append([f"{protocol} v{definition['version']}", *cells, other])
    (entry,) = first["datasets"].values()
    note = f"{entry['images']} images, {entry['title']}; means over images"
    if left_out:
        note += (
            f". Not for {first['predictions']['predicts']} of single pictures without a camera: {', '.join(left_out)}"
        )
    return f"{markdown_table(rows)}\n\n{note}."


def gpu(results: Path) -> str:
    """What `benchmarks.gpu` measured, part by part; a part without records says why."""
    stored = [result for result in read_results(results / "gpu").values() if not result["smoke"]]
    if not stored:
        return "Not measured yet: no GPU was at hand. `bash benchmarks/gpu.sh` measures and fills this."
    parts = []
    for title, prefix, columns in GPU_TABLES:
        found = [result for result in stored if result["part"].startswith(prefix)]
        records = [record for result in found for record in result.get("records", [])]
        if records:
            rows = [list(columns.values())]
            rows += [[_figure(record.get(name)) for name in columns] for record in records]
            parts.append(f"{title}\n\n{markdown_table(rows)}")
        missing = [f"{result['part']}: {result['error']}" for result in found if "error" in result]
        parts += ["Not measured: " + "; ".join(missing) + "."] if missing else []
    devices = sorted({json.dumps(result["environment"], sort_keys=True) for result in stored})
    notes = [", ".join(f"{key} {value}" for key, value in json.loads(text).items()) for text in devices]
    return "\n\n".join([*parts, "Random weights, medians. " + "; ".join(notes) + "."])


GPU_TABLES = (
    (
        "Heads on a ViT-L's features, beside the paper's H100 (Table 4; milliseconds of whole models):",
        "heads",
        {"head": "Head", "size": "Input", "dtype": "Type", "ms": "ms", "ms_std": "±", "peak_mib": "Peak MiB",
         "paper_ms": "Paper, H100 (ms)", "max_difference_from_layers": "Difference from layers"},
    ),
    (
        "Whole models:",
        "models",
        {"model": "Model", "size": "Input", "batch_size": "Batch", "mode": "Mode", "ms": "ms", "ms_std": "±",
         "peak_mib": "Peak MiB"},
    ),
    (
        "Training the head, encoder frozen, beside a plain loop that keeps the encoder in autograd:",
        "training",
        {"preset": "Preset", "size": "Input", "batch": "Batch", "mode": "Encoder", "batch_size": "Images a step",
         "images_per_second": "Images/s", "peak_memory_gib": "Peak GiB"},
    ),
)  # fmt: skip


def _figure(value) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
    return "-" if value is None else str(value)


TABLES = {table.__name__: table for table in (parameters, efficiency, published, measured, protocols, gpu)}


def fill(text: str, results: Path) -> str:
    """The text with every block made anew.

    Raises:
        ValueError: a block's name is unknown, or there is none.
    """

    def replace(match: re.Match) -> str:
        if match[2] not in TABLES:
            raise ValueError(f"there is no table {match[2]!r}; there are {', '.join(TABLES)}")
        return f"{match[1]}\n{TABLES[match[2]](results)}\n\n{match[3]}"

    text, count = BLOCK.subn(replace, text)
    if not count:
        raise ValueError("a page has no block <!-- table NAME --> ... <!-- end table --> to fill")
    return text


def main(argv: list[str] | None = None) -> int:
    """Fills the pages; 0, 1 where `--check` found an old one, 2 after a mistake."""
    with Mistakes("results_page.py") as ending:
        return run(argv)
    return ending.status


def run(argv: list[str] | None) -> int:
    root = Path(__file__).resolve().parents[1]
    parser = Parser(prog="python -m benchmarks.results_page", description=__doc__.split("\n")[0])
    pages = [root / "docs/results.md", root / "docs/evaluation.md"]
    parser.add_argument("--page", type=Path, nargs="+", default=pages)
    parser.add_argument("--results", type=Path, default=root / "benchmarks/results")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if something would change")
    args = parser.parse_args(argv)
    stale = []
    for page in args.page:
        before = page.read_text(encoding="utf-8")
        after = fill(before, args.results)
        if before != after:
            stale.append(page)
            if not args.check:
                atomic_write_text(page, after)
    if args.check and stale:
        named = ", ".join(map(str, stale))
        print(f"{named}: not the tables of {args.results}; run python -m benchmarks.results_page", file=sys.stderr)
    return int(args.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
