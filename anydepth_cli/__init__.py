"""The `anydepth` command line.

A package beside `anydepth_hf`, of the standard library alone: importing anything of `anydepth_hf` registers its
models with transformers, which takes seconds, and help or a misspelt option should not wait for that. Each command is
a module with `add_arguments(parser)`, which imports nothing heavy, and `run(args) -> int`, which does the work.
"""
