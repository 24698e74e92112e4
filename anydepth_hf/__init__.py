"""AnyDepth for Transformers: depth from one image with a frozen ViT encoder and a small decoder."""

from pathlib import Path

from transformers import AutoConfig, AutoImageProcessor, AutoModelForDepthEstimation

from .configuration_anydepth import AnyDepthConfig
from .image_processing_anydepth import AnyDepthImageProcessor
from .modeling_anydepth import AnyDepthForDepthEstimation
from .modeling_dpt import DPTHead
from .modeling_sdt import SDTHead

__version__ = "0.1.0"

# A small model trained on rendered scenes, for trying the package: `pipeline(..., model=BUNDLED_CHECKPOINT)`.
BUNDLED_CHECKPOINT = str(Path(__file__).parent / "bundled")

AutoConfig.register("anydepth", AnyDepthConfig)
AutoModelForDepthEstimation.register(AnyDepthConfig, AnyDepthForDepthEstimation)
AutoImageProcessor.register(
    AnyDepthConfig, image_processor_classes={"torchvision": AnyDepthImageProcessor, "pil": AnyDepthImageProcessor}
)

# What `save_pretrained` writes then loads with `trust_remote_code=True` where this package is not installed.
AnyDepthConfig.register_for_auto_class()
AnyDepthForDepthEstimation.register_for_auto_class("AutoModelForDepthEstimation")
AnyDepthImageProcessor.register_for_auto_class()

__all__ = [
    "BUNDLED_CHECKPOINT",
    "AnyDepthConfig",
    "AnyDepthForDepthEstimation",
    "AnyDepthImageProcessor",
    "DPTHead",
    "SDTHead",
]
