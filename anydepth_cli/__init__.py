"""The `anydepth` command line: its options, parsers and messages.

A package beside `anydepth_hf`, of the standard library alone: importing anything of `anydepth_hf` registers its
models with transformers, which takes seconds, and help or a misspelt option should not wait for that. So nothing here
imports `anydepth_hf`, which takes parsers and messages from here. Each command is a module with
`add_arguments(parser)`; its work is `run(args) -> int` in the module of that name in `anydepth_hf`, imported when the
command line is right, or in the one that `module(args)` names.
"""
