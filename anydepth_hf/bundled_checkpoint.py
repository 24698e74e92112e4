"""Where the model that comes with the package lies."""

from pathlib import Path

BUNDLED_CHECKPOINT = str(Path(__file__).parent / "bundled")
"""Directory of a small trained model, for trying the package: `pipeline(..., model=BUNDLED_CHECKPOINT)`."""
