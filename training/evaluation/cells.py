"""Published cells: one model's figures on one set in a paper or thread, to run again beside what was published.

`cells.json` holds other papers' figures with their links; this project's presets bring their own paper's.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from anydepth_hf.presets import preset, preset_names
from training.data.decoding import DataError
from training.evaluation.datasets import load_set, set_names
from training.evaluation.measures import HEADINGS


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One published result.

    Attributes:
        name: `model/set`, with a third part where one model and set have several.
        set, protocol: evaluation set, and the protocol that the figure is of or, as `note` then says, seems to be of.
        published_percent: measures in per cent.
        source, where: link, and the place in it.
        model: Hub id; `None` for models that are not in transformers, whose `predictions` are of this kind.
        note: what is uncertain.
    """

    name: str
    set: str
    protocol: str
    published_percent: dict[str, float]
    source: str
    where: str
    model: str | None = None
    predictions: str | None = None
    note: str = ""


def load_cells() -> dict[str, Cell]:
    """All cells by name: those of `cells.json`, and the presets' of the AnyDepth paper."""
    stored = json.loads(Path(__file__).with_name("cells.json").read_text(encoding="utf-8"))
    cells = {name: Cell(name=name, **fields) for name, fields in stored.items()}
    for name in preset_names():
        published = preset(name)["published"] or {}
        for set_name in set_names() if published else ():
            percent = {metric: published[f"{metric}_percent"].get(set_name) for metric in ("abs_rel", "delta1")}
            percent = {metric: value for metric, value in percent.items() if value is not None}
            if percent:
                cells[f"{name}/{set_name}"] = Cell(
                    name=f"{name}/{set_name}",
                    set=set_name,
                    protocol="lotus",
                    published_percent=percent,
                    source="https://arxiv.org/abs/2601.02760",
                    where=published["source"].partition(", ")[2],
                    note="The paper does not state its protocol; this one is inferred. Give --model: the weights.",
                )
    return cells


def load_cell(name: str) -> Cell:
    """The cell of a name; for an unknown one DataError says which there are of that model."""
    cells = load_cells()
    if name not in cells:
        start = name.partition("/")[0]
        close = [other for other in cells if other.startswith(f"{start}/")]
        hint = f"of {start} there are {', '.join(close)}" if close else "--reproduce list shows them"
        raise DataError(f"Unknown cell {name!r}: {hint}.")
    return cells[name]


def list_cells() -> str:
    """One line for each cell: name, figures, protocol and source."""
    lines = []
    for name, cell in load_cells().items():
        figures = ", ".join(f"{metric} {value:g} %" for metric, value in cell.published_percent.items())
        lines.append(f"{name}: {figures} (protocol {cell.protocol}, {cell.source}, {cell.where})")
    return "\n".join(lines)


def beside_published(cell: Cell, entry: dict) -> dict:
    """What was published, what was measured (the set's entry in the results), and the difference, in per cent."""
    measures = {}
    for metric, published in cell.published_percent.items() if entry["metrics"] else ():
        measured, interval = 100 * entry["metrics"][metric], entry["interval"][metric]
        measures[metric] = {
            "published": published,
            "measured": measured,
            "difference": measured - published,
            "interval": interval and [100 * end for end in interval],
        }
    return {"cell": cell.name, "set": load_set(cell.set).title, "source": cell.source, "where": cell.where,
            "note": cell.note, "measures": measures}  # fmt: skip


def reproduction_rows(reproduced: dict) -> list[list[str]]:
    """The comparison as a table."""
    table = [["Measure", "Published", "Measured", "Difference", "95 % interval of the measured"]]
    for metric, values in reproduced["measures"].items():
        ends = "-" if values["interval"] is None else "{:.2f} to {:.2f}".format(*values["interval"])
        figures = (f"{values['published']:g}", f"{values['measured']:.2f}", f"{values['difference']:+.2f}")
        table.append([HEADINGS[metric], *figures, ends])
    return table
