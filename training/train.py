"""Trains or fine-tunes AnyDepth: `accelerate launch training/train.py [CONFIG.yaml] --output_dir DIR [--option ...]`.

Options are in trainer/arguments.py, the loop in trainer/loop.py, how to use them in docs/training.md.
"""

import sys

from anydepth_hf.programs import Mistakes
from training.data.decoding import DataError
from training.trainer.arguments import parse_arguments
from training.trainer.loop import Trainer
from training.trainer.monitoring import NonFiniteLoss


def main(argv: list[str] | None = None) -> int:
    """Runs a training; 0 at its end, 1 where the model could not be saved, 2 after a mistake, 143 after a signal."""
    with Mistakes("train.py") as start:
        trainer = Trainer(parse_arguments(sys.argv[1:] if argv is None else argv))
    if start.status:
        return start.status
    # from here on any other error is ours, and keeps its traceback
    with Mistakes("train.py", (DataError, NonFiniteLoss, OSError, ImportError)) as run:
        return trainer.train()
    return run.status


if __name__ == "__main__":
    sys.exit(main())
