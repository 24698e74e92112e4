"""`anydepth models`: the presets, and what there is of them."""

import argparse


def add_arguments(parser: argparse.ArgumentParser):
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
