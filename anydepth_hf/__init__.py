"""AnyDepth for Transformers: depth from one image with a frozen ViT encoder and a small decoder.

Where PyTorch is not installed, what does without it is there all the same: `anydepth_hf.onnx_predictor` above all.
"""

from importlib.util import find_spec

from .bundled_checkpoint import BUNDLED_CHECKPOINT

__version__ = "0.1.0"

if find_spec("torch") is not None:
    from .auto_classes import (
        AnyDepthConfig,
        AnyDepthForDepthEstimation,
        AnyDepthImageProcessor,
        DepthAnything3Backbone,
        DepthAnything3Config,
        DepthMap,
        DPTHead,
        SDTHead,
        VGGTBackbone,
        VGGTConfig,
        from_preset,
        load_model,
        predict_depth,
        pull,
        read_depth,
        write_depth,
    )
else:

    def __getattr__(name: str):
        if name in __all__:
            raise ImportError(f"anydepth_hf.{name} needs PyTorch and transformers: pip install anydepth-hf.")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "BUNDLED_CHECKPOINT",
    "AnyDepthConfig",
    "AnyDepthForDepthEstimation",
    "AnyDepthImageProcessor",
    "DPTHead",
    "DepthAnything3Backbone",
    "DepthAnything3Config",
    "DepthMap",
    "SDTHead",
    "VGGTBackbone",
    "VGGTConfig",
    "from_preset",
    "load_model",
    "predict_depth",
    "pull",
    "read_depth",
    "write_depth",
]
