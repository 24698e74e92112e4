"""`anydepth benchmark`: parameters, FLOPs, latency and memory of models."""

import argparse

from .parser import number


def add_arguments(parser: argparse.ArgumentParser):
    parser.add_argument(
        "--models",
        nargs="+",
        metavar="NAME",
        help="presets, peers, folders or Hub ids; 'presets' or 'peers' for all of them (default: those of "
        "the paper's table of costs)",
    )
    parser.add_argument("--resolutions", nargs="+", type=number(minimum=1), default=[256, 512, 1024], metavar="N")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="(default: cuda where there is one)")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--channels-last", action="store_true", help="NHWC memory format, for tensor cores")
    parser.add_argument(
        "--compile",
        choices=["default", "reduce-overhead", "max-autotune"],
        help="time torch.compile'd models; all but the first record CUDA graphs on a GPU",
    )
    parser.add_argument("--batch-size", type=number(minimum=1), default=1)
    parser.add_argument("--runs", type=number(minimum=0), default=20, help="timed runs of each model; 0: no latency")
    parser.add_argument("--warmup", type=number(minimum=0), default=3)
    parser.add_argument("--threads", type=number(minimum=1), help="CPU threads")
    parser.add_argument("--memory", action="store_true", help="measure peak memory too")
    parser.add_argument("--json", help="file for the results")
