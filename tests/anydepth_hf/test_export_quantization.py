"""Layers that static quantisation leaves in floating point are found in traced graphs, which do not name them."""

import numpy as np
import pytest

from anydepth_hf import AnyDepthForDepthEstimation
from anydepth_hf.export_formats import open_file
from anydepth_hf.export_quantization import fingerprint, sensitive_nodes


def test_sensitive_layers_are_found_in_onnx(exported_tiny_model):
    """In ONNX: patch embedding, readouts of four levels in two halves, their projections, last layer; nothing else."""
    import onnx_ir

    directory, exported = exported_tiny_model
    model = AnyDepthForDepthEstimation.from_pretrained(directory)
    program = onnx_ir.load(exported / "onnx" / "model.onnx")
    scopes = {node.name: node.metadata_props.get("pkg.torch.onnx.name_scopes") for node in program.graph}
    found = [scopes[name] for name in sensitive_nodes(model, program)]
    for layer, times in (("patch_emb", 1), ("weighted_fusion", 12), ("fusion.projections", 4), ("output_conv.4", 1)):
        assert sum(layer in scope for scope in found) == times
    assert len(found) == 14


def test_sensitive_layers_are_found_in_openvino(save_tiny_model, tmp_path):
    """OpenVINO's graph splits the readouts itself: as many products as in ONNX."""
    openvino = pytest.importorskip("openvino", reason="needs the extra openvino")
    from anydepth_hf import AnyDepthImageProcessor
    from anydepth_hf.export_formats import Exporter
    from anydepth_hf.export_metadata import describe_model

    model = AnyDepthForDepthEstimation.from_pretrained(save_tiny_model()).eval()
    processor = AnyDepthImageProcessor.from_pretrained(save_tiny_model())
    path = tmp_path / "model.xml"
    Exporter(model, describe_model(model.config, processor)).write("openvino", "fp32", path)
    assert open_file("openvino", path)
    assert len(sensitive_nodes(model, openvino.Core().read_model(path))) == 14


def test_a_fingerprint_is_that_of_the_transposed_array():
    array = np.random.default_rng(0).normal(size=(48, 96)).astype(np.float32)
    assert fingerprint(array) == fingerprint(np.ascontiguousarray(array.T)) == fingerprint(array.reshape(6, -1))
    assert fingerprint(array) != fingerprint(array[:, :48]) and fingerprint(array) != fingerprint(array + 1e-3)
