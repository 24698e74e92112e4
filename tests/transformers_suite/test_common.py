"""
transformers' own common tests of models, configurations, backbones and image processors, run against AnyDepth.

The classes in `QUICK` run always, all of `MODELS` with `--long`: every encoder with every head, frozen and not.
Where a test is overridden, the line above it says why.
"""

import copy
import itertools
import sys
import unittest

import pytest
import torch

from anydepth_hf import (
    AnyDepthConfig,
    AnyDepthForDepthEstimation,
    AnyDepthImageProcessor,
    DepthAnything3Backbone,
    DepthAnything3Config,
    VGGTBackbone,
    VGGTConfig,
)
from tests.conftest import TINY_BACKBONES
from tests.transformers_suite.unpack import Unavailable, suite_folder

pytest.importorskip("parameterized", reason="transformers' suite needs it: pip install 'anydepth-hf[test]'")
try:
    sys.path.append(str(suite_folder()))
    from transformers_tests.test_backbone_common import BackboneTesterMixin
    from transformers_tests.test_configuration_common import ConfigTester
    from transformers_tests.test_image_processing_common import ImageProcessingTester, ImageProcessingTestMixin
    from transformers_tests.test_modeling_common import ModelTesterMixin
except Unavailable as error:
    pytest.skip(str(error), allow_module_level=True)

HEADS = {
    "sdt": {},
    "dpt": {"head_type": "dpt"},
    "dpt_depth_anything": {"head_type": "dpt", "dpt_style": "depth_anything"},
    "dpt_vggt": {"head_type": "dpt", "dpt_style": "vggt", "head_input_norm": True},
    "dual_dpt": {"head_type": "dual_dpt", "head_input_norm": True},
}
MODELS = list(itertools.product(TINY_BACKBONES, HEADS, (True, False)))
QUICK = [
    ("dinov3_vit", "sdt", True),
    ("depth_anything_3", "dual_dpt", False),
]
SIZES = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "out_indices": [1, 2, 3, 4]}


class ModelTester:
    """What the suite asks of a `model_tester`: sizes, a configuration and inputs."""

    batch_size, num_channels, is_training = 2, 3, True
    hidden_size, num_hidden_layers, num_attention_heads = 32, 4, 2

    def __init__(self, encoder: str, head: str, frozen: bool):
        self.encoder, self.head, self.frozen = encoder, head, frozen
        self.backbone = {"model_type": encoder, **SIZES, **TINY_BACKBONES[encoder]}
        # tests compare two runs in training mode, and DINOv3 rescales its positions at random there
        self.backbone |= {"pos_embed_rescale": None} if encoder == "dinov3_vit" else {}
        self.patch_size = self.backbone.get("patch_size", 14)
        self.image_size = 4 * self.patch_size
        prefix = {"dinov3_vit": 3, "dinov2": 1, "depth_anything_3": 1, "vggt": 5}[encoder]
        self.seq_length = prefix + 16
        if encoder == "vggt":
            # its frame and global blocks are recorded each on its own
            self.num_hidden_layers, self.expected_num_hidden_layers = 8, 9

    def get_config(self) -> AnyDepthConfig:
        settings = {"fusion_hidden_size": 8, "output_activation": "exp", **HEADS[self.head]}
        return AnyDepthConfig(
            backbone_config=copy.deepcopy(self.backbone), freeze_backbone=self.frozen, min_depth=0, **settings
        )

    def prepare_config_and_inputs_for_common(self):
        generator = torch.Generator().manual_seed(0)
        shape = (self.batch_size, 3, self.image_size, self.image_size)
        return self.get_config(), {"pixel_values": torch.randn(shape, generator=generator)}


class ModelTests(ModelTesterMixin):
    all_model_classes = (AnyDepthForDepthEstimation,)
    # images have no tokens whose embeddings could be resized
    test_resize_embeddings = False
    # the mask tokens of DINOv2 and DINOv3 and, in transformers too, norms that no exported level passes
    test_all_params_have_gradient = False

    def setUp(self):
        self.model_tester = ModelTester(*self.case)
        self.config_tester = ConfigTester(
            self, config_class=AnyDepthConfig, has_text_modality=False, common_properties=[]
        )

    def test_config(self):
        self.config_tester.run_common_tests()

    # labels of depth estimation are maps, which the suite does not make
    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs_dict = copy.deepcopy(inputs_dict)
        if return_labels:
            batch_size, _, *size = inputs_dict["pixel_values"].shape
            labels = torch.rand(batch_size, *size, generator=torch.Generator().manual_seed(0))
            inputs_dict["labels"] = (labels + 1).to(inputs_dict["pixel_values"].device)
        return inputs_dict

    # the heads fuse four levels, so that a model has at least four blocks (as the suite's own BeitModelTest)
    def test_num_layers_is_small(self):
        self.assertEqual(self.model_tester.get_config().backbone_config.num_hidden_layers, 4)

    # a frozen encoder runs without gradients and recomputes nothing: what is tested is the same model, unfrozen
    def check_training_gradient_checkpointing(self, *args, **kwargs):
        self.model_tester.frozen = False
        super().check_training_gradient_checkpointing(*args, **kwargs)

    # nor do its hidden states have gradients
    def test_retain_grad_hidden_states_attentions(self):
        self.model_tester.frozen = False
        super().test_retain_grad_hidden_states_attentions()

    @unittest.skip(reason="AnyDepth takes images, no inputs_embeds (as DepthAnything)")
    def test_inputs_embeds(self):
        pass

    # the input embedding is a convolution over patches, not an `nn.Embedding`
    def test_model_get_set_embeddings(self):
        model = AnyDepthForDepthEstimation(self.model_tester.get_config())
        self.assertIsInstance(model.get_input_embeddings(), torch.nn.Module)
        self.assertIsNone(model.get_output_embeddings())


def add_model_tests(encoder: str, head: str, frozen: bool):
    name = f"Test_{encoder}_{head}_{'frozen' if frozen else 'trained'}"
    case = type(name, (ModelTests, unittest.TestCase), {"case": (encoder, head, frozen), "__module__": __name__})
    globals()[name] = case if (encoder, head, frozen) in QUICK else pytest.mark.long(case)


for _model in MODELS:
    add_model_tests(*_model)


class BackboneTester:
    batch_size = 2

    def __init__(self, config_class):
        self.config_class = config_class

    def prepare_config_and_inputs_for_common(self):
        backbone = {**SIZES, **TINY_BACKBONES[self.config_class.model_type]}
        return self.config_class(**backbone), {"pixel_values": torch.randn(2, 3, 56, 56)}


class TestDepthAnything3Backbone(BackboneTesterMixin, unittest.TestCase):
    all_model_classes, config_class = (DepthAnything3Backbone,), DepthAnything3Config

    def setUp(self):
        self.model_tester = BackboneTester(self.config_class)


class TestVGGTBackbone(BackboneTesterMixin, unittest.TestCase):
    all_model_classes, config_class = (VGGTBackbone,), VGGTConfig

    def setUp(self):
        self.model_tester = BackboneTester(self.config_class)


class ImageProcessorTester(ImageProcessingTester):
    def __init__(self, parent):
        super().__init__(parent, batch_size=3, max_resolution=80)

    # the suite finds the classes by the folder of the test, and there those of transformers alone
    def _get_image_processing_classes(self):
        return {"torchvision": AnyDepthImageProcessor, "pil": AnyDepthImageProcessor}

    def prepare_image_processor_dict(self):
        return {"size": {"height": 32, "width": 48}, "ensure_multiple_of": 16, "prediction_type": "disparity"}

    def expected_output_image_shape(self, images):
        return self.num_channels, 32, 48


class TestImageProcessor(ImageProcessingTestMixin, unittest.TestCase):
    image_processor_tester_class = ImageProcessorTester
