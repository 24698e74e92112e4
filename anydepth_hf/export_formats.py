"""Writes and opens the files of each export format, through `transformers.exporters`."""

import contextlib
import copy
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from .export_graph import gathering, store_split_weights
from .export_metadata import METADATA_KEY, encode
from .export_quantization import nncf_config
from .extras import require
from .onnx_predictor import open_session
from .quiet import quiet_exporters

FILES: dict[tuple[str, str], str] = {
    # transformers.js asks for these names by its `dtype`: fp32, fp16, q8 and int8
    ("onnx", "fp32"): "onnx/model.onnx",
    ("onnx", "fp16"): "onnx/model_fp16.onnx",
    ("onnx", "int8"): "onnx/model_quantized.onnx",
    ("onnx", "int8-static"): "onnx/model_int8.onnx",
    ("openvino", "fp32"): "openvino/openvino_model.xml",
    ("openvino", "fp16"): "openvino/openvino_model_fp16.xml",
    ("openvino", "int8"): "openvino/openvino_model_int8_weights.xml",
    ("openvino", "int8-static"): "openvino/openvino_model_int8.xml",
    ("executorch", "fp32"): "executorch/model.pte",
    ("torch", "fp32"): "torch/model.pt2",
}
"""File of each format and precision, below the output folder."""

PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("openvino",), "executorch": ("executorch",)}
# Protocol buffers end at 2 GB: larger weights lie beside the graph.
MAX_SINGLE_FILE = 1_900_000_000

Runner = Callable[[torch.Tensor], torch.Tensor]
"""Takes `pixel_values` `(batch, 3, height, width)` and returns `predicted_depth` `(batch, height, width)`."""


def require_packages(format: str, precision: str) -> None:
    """Raises ImportError, with the extra that installs it, where a package is missing."""
    packages = PACKAGES.get(format, ())
    if precision == "int8-static" or (format, precision) == ("openvino", "int8"):
        packages += ("nncf",)
    for package in packages:
        extra = {"executorch": "executorch", "openvino": "openvino", "nncf": "openvino"}.get(package, "export")
        require(package, extra, f"Export to {format} ({precision})")


class Exporter:
    """
    Traces a model as rarely as possible and writes it in any format and precision.

    Args:
        model: in eval mode, float32, on the CPU.
        description: see [`describe_model`]; each file carries it.
        calibration: batches `pixel_values` for `int8-static`.
        fixed_size: height and width of an ExecuTorch file, whose memory is planned ahead.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        description: dict[str, Any],
        calibration: Sequence[torch.Tensor] = (),
        fixed_size: tuple[int, int] | None = None,
    ):
        self.model, self.description, self.fixed_size = model, description, fixed_size
        self.calibration = [{"pixel_values": batch} for batch in calibration]
        patch = model.config.patch_size
        # sizes of no other meaning in the model, so that nothing is taken for a constant
        self.sample = {"pixel_values": torch.randn(2, 3, 6 * patch, 9 * patch)}
        self.traced: dict[tuple[str, torch.dtype], Any] = {}

    def write(self, format: str, precision: str, path: Path) -> None:
        """Writes one file (OpenVINO: two) to `path`, whose name is that of `FILES`."""
        with quiet_exporters():
            getattr(self, f"_write_{format}")(precision, path)

    def _trace(self, format: str, dtype: torch.dtype = torch.float32) -> Any:
        """The format's program of the model, traced once for each dtype of the weights."""
        if (format, dtype) not in self.traced:
            from transformers.exporters.auto import EXPORT_BACKENDS, get_exporter_class

            model = self.model if dtype == torch.float32 else copy.deepcopy(self.model).to(dtype)
            name = {"torch": "dynamo"}.get(format, format)
            any_size = torch.export.Dim.DYNAMIC
            shapes = {"pixel_values": {0: any_size, 2: any_size, 3: any_size}}
            sample = self.sample
            if format == "executorch":
                shapes, sample = None, {"pixel_values": torch.randn(1, 3, *self.fixed_size)}
            config = EXPORT_BACKENDS[name].config(dynamic_shapes=shapes)  # type: ignore[call-arg]
            # 16-bit files are for graphics cards, where sampling is one fast operator
            for_cpu = format == "onnx" and dtype == torch.float32
            with gathering(model) if for_cpu else contextlib.nullcontext():
                program = get_exporter_class(name)().export(model, dict(sample), config).program
            if format == "onnx":
                store_split_weights(program.graph)
            self.traced[format, dtype] = program
        return self.traced[format, dtype]

    def _write_onnx(self, precision: str, path: Path) -> None:
        import onnx_ir

        program = self._trace("onnx", torch.float16 if precision == "fp16" else torch.float32)
        if precision in ("int8", "int8-static"):
            program = self._quantize_onnx(program, precision)
        take_float32(program.graph)
        for value in (*program.graph.inputs, *program.graph.outputs):
            spatial = ("batch", 3, "height", "width") if len(value.shape) == 4 else ("batch", "height", "width")
            value.shape = onnx_ir.Shape(spatial)
        program.metadata_props[METADATA_KEY] = encode(self.description)
        tensors = (value.const_value for value in program.graph.initializers.values())
        large = sum(tensor.nbytes for tensor in tensors if tensor is not None) > MAX_SINGLE_FILE
        onnx_ir.save(program, path, external_data=f"{path.name}.data" if large else None)

    def _quantize_onnx(self, program: Any, precision: str) -> Any:
        from transformers.exporters import NNCFOnnxQuantizer, OnnxRuntimeDynamicConfig, OnnxRuntimeQuantizer

        if precision == "int8":
            # not the convolutions: there, ONNX Runtime's dynamic quantisation is slower than float32
            config = OnnxRuntimeDynamicConfig(op_types_to_quantize=["MatMul", "Gemm"], per_channel=True)
            quantizer = OnnxRuntimeQuantizer(config)
        else:
            config = nncf_config(self.model, program, self.calibration)
            quantizer = NNCFOnnxQuantizer(config, calibration_dataset=self.calibration)
        return quantizer.quantize(program, dict(self.sample), "onnx")

    def _write_openvino(self, precision: str, path: Path) -> None:
        import openvino

        program = self._trace("openvino")
        if precision in ("int8", "int8-static"):
            from transformers.exporters import NNCFOpenVINOQuantizer, NNCFWeightCompressionConfig

            config = NNCFWeightCompressionConfig()
            if precision == "int8-static":
                config = nncf_config(self.model, program, self.calibration)
            quantizer = NNCFOpenVINOQuantizer(config, calibration_dataset=self.calibration)
            program = quantizer.quantize(program.clone(), dict(self.sample), "openvino")
        program.set_rt_info(encode(self.description), [METADATA_KEY])
        openvino.save_model(program, str(path), compress_to_fp16=precision == "fp16")

    def _write_executorch(self, precision: str, path: Path) -> None:
        with open(path, "wb") as file:
            self._trace("executorch").write_to_file(file)

    def _write_torch(self, precision: str, path: Path) -> None:
        torch.export.save(self._trace("torch"), path, extra_files={f"{METADATA_KEY}.json": encode(self.description)})


def take_float32(graph: Any) -> None:
    """Lets a graph of float16 weights take `pixel_values` in float32, as all files do."""
    import onnx_ir

    (pixel_values,) = graph.inputs
    if pixel_values.dtype != onnx_ir.DataType.FLOAT16:
        return
    uses = list(pixel_values.uses())
    cast = onnx_ir.node("Cast", [pixel_values], {"to": onnx_ir.DataType.FLOAT16})
    cast.outputs[0].dtype, cast.outputs[0].shape = pixel_values.dtype, pixel_values.shape
    for node, index in uses:
        node.replace_input_with(index, cast.outputs[0])
    graph.insert_before(graph[0], cast)
    pixel_values.dtype = onnx_ir.DataType.FLOAT


def open_file(format: str, path: Path, threads: int | None = None) -> Runner:
    """
    Opens a file in its own runtime on the CPU.

    Args:
        threads: of the runtime; its own choice when not given.
    """
    openers = {"onnx": _open_onnx, "openvino": open_openvino, "executorch": _open_executorch, "torch": _open_torch}
    with quiet_exporters():
        return openers[format](path, threads)


def _open_onnx(path: Path, threads: int | None) -> Runner:
    session = open_session(path, threads)
    return lambda values: torch.from_numpy(session.run(["predicted_depth"], {"pixel_values": values.numpy()})[0])


def open_openvino(path: Path, threads: int | None, arithmetic: str = "f32") -> Runner:
    """Opens a file of OpenVINO; its arithmetic is also `"bf16"` where the processor has that."""
    import openvino

    # on processors with bfloat16 arithmetic the plugin would take that of its own accord
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": arithmetic}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    return lambda values: torch.from_numpy(compiled({"pixel_values": values.numpy()})["predicted_depth"].copy())


def _open_executorch(path: Path, threads: int | None) -> Runner:
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(os.fspath(path))
    method = program.load_method("forward")
    # `program` owns what the method runs
    return lambda values: method.execute([values.contiguous()])[0].clone() if program else None


def _open_torch(path: Path, threads: int | None) -> Runner:
    module = torch.export.load(path).module()
    return lambda pixel_values: module(pixel_values=pixel_values).predicted_depth
