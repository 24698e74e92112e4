"""AnyDepth for Transformers: depth from one image with a frozen ViT encoder and a small decoder.

Where PyTorch is not installed, what does without it is there all the same: `anydepth_hf.onnx_predictor` above all.
"""

from importlib.util import find_spec

from .bundled_checkpoint import BUNDLED_CHECKPOINT

__version__ = "0.1.0"

if find_spec("torch") is not None:
    from . import auto_classes as auto_classes
    from .backbone_depth_anything_3 import DepthAnything3Backbone
    from .backbone_vggt import VGGTBackbone
    from .configuration_anydepth import AnyDepthConfig
    from .configuration_depth_anything_3 import DepthAnything3Config
    from .configuration_vggt import VGGTConfig
    from .depth_files import read_depth, write_depth
    from .depth_map import DepthMap
    from .image_processing_anydepth import AnyDepthImageProcessor
    from .loading import load_model
    from .modeling_anydepth import AnyDepthForDepthEstimation
    from .modeling_dpt import DPTHead
    from .modeling_sdt import SDTHead
    from .prediction import predict_depth
    from .pull import from_preset, pull
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
