"""Trains or fine-tunes AnyDepth: `accelerate launch training/train.py [CONFIG.yaml] --output_dir DIR [--option ...]`.

Options are in arguments.py, the loop in trainer.py, how to use them in docs/training.md.
"""

import errno
import sys

from training.data.decoding import DataError
from training.trainer.arguments import parse_arguments
from training.trainer.loop import Trainer
from training.trainer.monitoring import NonFiniteLoss

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> int:
    try:
        trainer = Trainer(parse_arguments(sys.argv[1:]))
    except ValueError as error:
        return _fail(error)
    try:
        return trainer.train()
    except (DataError, NonFiniteLoss) as error:
        return _fail(error)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        return _fail(f"{error}; free some space and start again with --resume")


def _fail(reason) -> int:
    print(f"train.py: {reason}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
