"""Fills the tables of docs/results.md from stored results; nobody types a number there.

    python -m benchmarks.results_page            # rewrites the blocks between the markers
    python -m benchmarks.results_page --check    # fails if they are not up to date

A block is `<!-- table NAME -->` ... `<!-- end table -->`; the names are those of `TABLES`. Results are what
`anydepth benchmark --json benchmarks/results/cost/NAME.json` and `training.evaluate` (its summary.json, copied to
benchmarks/results/accuracy/NAME.json, NAME a preset's or any other) write.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from anydepth_hf.atomic_write import atomic_write_text
from anydepth_hf.benchmark_report import (
    FLOPS_NOTE,
    conditions,
    efficiency_table,
    markdown_table,
    parameter_table,
)
from anydepth_hf.presets import preset, preset_names
from training.evaluation.datasets import load_set

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
    """Models by data sets; under the table, how each model's numbers came about."""
    stored = read_results(results / "accuracy")
    if not stored:
        return "Not measured yet."
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
    return "\n\n".join([markdown_table(rows), "AbsRel % ↓ / δ1 % ↑, measured here.", *notes])


TABLES = {"parameters": parameters, "efficiency": efficiency, "published": published, "measured": measured}


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
        raise ValueError("no block <!-- table NAME --> ... <!-- end table --> to fill")
    return text


def main(argv: list[str] | None = None) -> int:
    root = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results_page", description=__doc__.split("\n")[0])
    parser.add_argument("--page", type=Path, default=root / "docs/results.md")
    parser.add_argument("--results", type=Path, default=root / "benchmarks/results")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if something would change")
    args = parser.parse_args(argv)
    try:
        before = args.page.read_text(encoding="utf-8")
        after = fill(before, args.results)
    except (OSError, ValueError, KeyError) as error:
        print(f"results_page: error: {args.page}: {error}", file=sys.stderr)
        return 2
    if args.check:
        if before != after:
            print(
                f"{args.page}: tables are not those of {args.results}; run python -m benchmarks.results_page",
                file=sys.stderr,
            )
        return int(before != after)
    atomic_write_text(args.page, after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
