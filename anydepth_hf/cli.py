"""The `anydepth` command for launchers: `accelerate launch -m anydepth_hf.cli predict ...`."""

import sys

from anydepth_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
