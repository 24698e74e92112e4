"""`anydepth pull`: published weights of presets as models of Transformers."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser):
    parser.add_argument("preset", metavar="PRESET", help="which one; `anydepth models` lists them")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for the model, new or empty (default: beside the Hub's cache, where every command finds it)",
    )
