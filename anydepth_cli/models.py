"""`anydepth models`: the presets, and what there is of them."""

import argparse


def add_arguments(parser: argparse.ArgumentParser):
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    from anydepth_hf.catalog import catalog, table

    if args.json:
        import json

        print(json.dumps(catalog(), indent=2))
    else:
        print(table())
    return 0
