"""The models that a visitor of the demo can choose, the last few of them in memory."""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any

from .bundled_checkpoint import BUNDLED_CHECKPOINT
from .calibration import Calibration, find_calibration
from .loading import load_model
from .models import catalog
from .prediction import Predictor, model_label

BUNDLED = "bundled"
"""What the page calls the model that comes with the package."""


class Models:
    """
    Loads models by name and keeps the last two.

    Args:
        names: presets, directories, Hub ids or `"bundled"`, the first of which the page starts with; by default the
            bundled model and, where any name may be typed, the published presets.
        device, dtype, trust_remote_code: as `load_model` takes them.
        any_name: whether names that are not listed may be typed. On a page for strangers this would let them fill the
            disk and ask which folders there are.
    """

    def __init__(
        self,
        names: Sequence[str] | None = None,
        device: str | None = None,
        dtype: str = "float32",
        trust_remote_code: bool = False,
        any_name: bool = True,
    ):
        presets = {entry["name"]: entry for entry in catalog() if entry["published"]}
        self.names = list(names or [BUNDLED, *(presets if any_name else ())])
        self.any_name = any_name and not names
        self.choices = [(_label(name, presets.get(name)), name) for name in self.names]
        self._options = (device, dtype, trust_remote_code)
        self._loaded: OrderedDict[str, tuple[Any, Any]] = OrderedDict()
        self._lock = Lock()

    def predictor(self, name: str, size: int | None = None) -> tuple[Predictor, Calibration | None]:
        """
        A model ready to predict, and the calibration in its folder, if there is one.

        Args:
            name: one of `names`, or any where that is allowed.
            size: shortest side that the model sees; by default that of its calibration, or its own.

        Raises:
            ValueError: a name that may not be chosen, or as `load_model`.
        """
        name = (name or "").strip()
        if name not in self.names and not (self.any_name and name):
            raise ValueError(f"Choose one of the models {', '.join(self.names)}.")
        source = BUNDLED_CHECKPOINT if name == BUNDLED else name
        with self._lock:  # two visitors would load it twice
            if name not in self._loaded:
                if len(self._loaded) == 2:  # before loading: three at once may not fit
                    self._loaded.popitem(last=False)
                self._loaded[name] = load_model(source, *self._options)
            self._loaded.move_to_end(name)
            model, processor = self._loaded[name]
        predictor = Predictor(model, processor, model_label(source))
        calibration, _ = find_calibration(source)
        predictor.set_size(size or (calibration and calibration.size))
        return predictor, calibration


def _label(name: str, published: dict | None) -> str:
    """What the list of models shows for one."""
    if name == BUNDLED:
        return "bundled: small, at once"
    if published is None:
        return model_label(name)
    licence = published["license"] + ("" if published["commercial_use"] else ", not for commercial use")
    return f"{name}: {published['parameters'] / 1e6:.0f} M, {published['predicts']}, {licence}"
