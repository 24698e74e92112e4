"""AnyDepth for Transformers: depth from one image with a frozen ViT encoder and a small decoder.

Where PyTorch is not installed, what does without it is there all the same: `anydepth_hf.onnx_predictor` above all.
"""

from importlib.util import find_spec

from .bundled_checkpoint import BUNDLED_CHECKPOINT

__version__ = "0.1.0"

if find_spec("torch") is not None:
    from transformers import CONFIG_MAPPING, AutoBackbone, AutoConfig, AutoImageProcessor, AutoModelForDepthEstimation

    from . import hub_anydepth
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
    from .pull import from_preset, pull, resolve

    AutoConfig.register("anydepth", AnyDepthConfig)
    AutoModelForDepthEstimation.register(AnyDepthConfig, AnyDepthForDepthEstimation)
    AutoImageProcessor.register(
        AnyDepthConfig, image_processor_classes={"torchvision": AnyDepthImageProcessor, "pil": AnyDepthImageProcessor}
    )
    for _config, _backbone in ((DepthAnything3Config, DepthAnything3Backbone), (VGGTConfig, VGGTBackbone)):
        # a later transformers may bring its own; AnyDepth finds these without the registry
        if _config.model_type not in CONFIG_MAPPING:
            AutoConfig.register(_config.model_type, _config)
            AutoBackbone.register(_config, _backbone)

    # `from_pretrained` of a repository that holds the authors' own files only gives the model converted from them.
    hub_anydepth.resolver = resolve

    # What `save_pretrained` writes then loads with `trust_remote_code=True` where this package is not installed.
    AnyDepthConfig.register_for_auto_class()
    AnyDepthForDepthEstimation.register_for_auto_class("AutoModelForDepthEstimation")
    AnyDepthImageProcessor.register_for_auto_class()
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
