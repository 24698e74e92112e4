"""Registers the models with transformers' auto classes."""

from transformers import CONFIG_MAPPING, AutoBackbone, AutoConfig, AutoImageProcessor, AutoModelForDepthEstimation

from .backbone_depth_anything_3 import DepthAnything3Backbone
from .backbone_vggt import VGGTBackbone
from .configuration_anydepth import AnyDepthConfig
from .configuration_depth_anything_3 import DepthAnything3Config
from .configuration_vggt import VGGTConfig
from .hub_anydepth import set_resolver
from .image_processing_anydepth import AnyDepthImageProcessor
from .modeling_anydepth import AnyDepthForDepthEstimation
from .pull import resolve

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
set_resolver(resolve)

# What `save_pretrained` writes then loads with `trust_remote_code=True` where this package is not installed.
AnyDepthConfig.register_for_auto_class()
AnyDepthForDepthEstimation.register_for_auto_class("AutoModelForDepthEstimation")
AnyDepthImageProcessor.register_for_auto_class()
