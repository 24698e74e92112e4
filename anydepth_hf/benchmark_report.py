"""Tables of `anydepth benchmark`: measured and published figures, in columns of their own."""

from .presets import preset, preset_names

# arXiv 2601.02760, Table 4, on an H100: FLOPs (G) of the decoder and latency (ms) by input size
PUBLISHED_EFFICIENCY = {
    "dinov3-large-dpt": {
        256: (444.14, "6.66 ± 0.22"),
        512: (1776.56, "24.65 ± 0.22"),
        1024: (7106.22, "99.79 ± 0.79"),
    },
    "dinov3-large-sdt": {256: (234.17, "6.10 ± 0.33"), 512: (936.70, "23.17 ± 0.54"), 1024: (3746.79, "93.09 ± 0.51")},
}
FLOPS_NOTE = (
    "FLOPs: 2 per multiply-add, transposed convolutions once per input position. The paper's 444.14 G for DPT charges "
    "them once per output position; the same decoder has 308.84 G with one output (309.91 G with its 256). The "
    "official order is that of the official SDT head, whose readout computes the class token's half for every patch; "
    "here it is computed once an image. On CPU the SDT's wide convolutions use Winograd's algorithm, which the count "
    "leaves out."
)


def report(results: dict) -> str:
    """Everything that the command prints, in Markdown."""
    tables = ["### Parameters", parameter_table(results), "### Efficiency", efficiency_table(results)]
    return "\n\n".join([*tables, conditions(results), FLOPS_NOTE])


def parameter_table(results: dict) -> str:
    """Markdown table of parameters in millions, the paper's in a column of their own."""
    rows = [["Model", "Decoder params (M)", "Paper (M)", "All params (M)"]]
    for name, entry in results["parameters"].items():
        published = (preset(name)["published"] or {}) if name in preset_names() else {}
        decoder, everything = (f"{entry[key] / 1e6:.2f}" for key in ("decoder_parameters", "parameters"))
        rows.append([name, decoder, published.get("decoder_parameters_millions", "-"), everything])
    return markdown_table(rows)


def efficiency_table(results: dict) -> str:
    """Markdown table of FLOPs, milliseconds and memory, the paper's in columns of their own."""
    heading = "Input|Model|Decoder FLOPs (G)|in the official order (G)|Paper FLOPs (G)|All FLOPs (G)"
    heading += "|Decoder (ms)|All (ms)|Paper, H100 (ms)|Peak memory (MiB)"
    rows: list[list] = [heading.split("|")]
    for entry in sorted(results["models"], key=lambda entry: entry["resolution"]):
        published = PUBLISHED_EFFICIENCY.get(entry["model"], {}).get(entry["resolution"], ("-", "-"))
        counted, official, everything = (
            f"{entry[key] / 1e9:.2f}" for key in ("decoder_flops", "official_decoder_flops", "flops")
        )
        times = [
            f"{entry[f'{part}_ms']:.2f} ± {entry[f'{part}_ms_std']:.2f}" if f"{part}_ms" in entry else "-"
            for part in ("decoder", "model")
        ]
        memory = f"{entry['peak_memory'] / 2**20:.0f}" if "peak_memory" in entry else "-"
        size = "{0}x{0}".format(entry["input_size"])
        rows.append([size, entry["model"], counted, official, published[0], everything, *times, published[1], memory])
    return markdown_table(rows)


def conditions(results: dict) -> str:
    """Under which the efficiency was measured, in one sentence."""
    place = {key: value for key, value in results["environment"].items() if value is not None}
    if not place["runs"]:
        return "Counted, not timed."
    values = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in place.items())
    return f"Median ± standard deviation of interleaved runs, random weights; {values}."


def markdown_table(rows: list[list]) -> str:
    """Rows of cells, the first the header."""
    header, *body = [[str(cell) for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *body])
