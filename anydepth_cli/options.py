"""Options that several commands share."""

import argparse


def add_model_arguments(parser: argparse.ArgumentParser, default: str = "the small model that comes with the package"):
    """`--model`, `--device`, `--dtype` and `--trust-remote-code`, as `anydepth_hf.loading.load_model` takes them."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model", metavar="NAME", help=f"directory or Hub id of a depth-estimation model (default: {default})"
    )
    group.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    group.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    group.add_argument("--trust-remote-code", action="store_true", help="run the model code of the Hub repository")
