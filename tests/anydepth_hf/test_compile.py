"""`torch.compile` of whole models, and what its compiler makes of the sampling."""

import re

import pytest
import torch

from anydepth_hf import AnyDepthForDepthEstimation, SDTHead
from tests.conftest import TINY_BACKBONES, needs_compiler


# a minute each: `pytest --long` takes the others
@pytest.mark.parametrize(
    "model_type",
    ["dinov3_vit", *(pytest.param(name, marks=pytest.mark.long) for name in TINY_BACKBONES if name != "dinov3_vit")],
)
def test_one_graph_serves_all_sizes(save_tiny_model, model_type):
    """No graph breaks; a second graph where height and width first differ, none after that; the same numbers."""
    model = AnyDepthForDepthEstimation.from_pretrained(save_tiny_model(model_type)).eval()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=backend)
    patch = model.config.patch_size
    with torch.no_grad():
        for rows, columns in ((4, 4), (3, 5), (5, 3), (2, 6), (6, 4)):
            pixel_values = torch.randn(2, 3, rows * patch, columns * patch)
            expected = model(pixel_values).predicted_depth
            torch.testing.assert_close(compiled(pixel_values).predicted_depth, expected, rtol=1e-4, atol=1e-5)
    assert len(graphs) <= 2


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*is_gradient_checkpointing:FutureWarning")
def test_tracing_and_exporting_need_no_context_without_gradients(save_tiny_model, tmp_path):
    """As any model of transformers: `torch.jit.trace` passes its own check, and an exported program can be saved."""
    model = AnyDepthForDepthEstimation.from_pretrained(save_tiny_model("dinov2"))
    pixel_values = torch.randn(1, 3, 56, 70)
    with torch.no_grad():
        expected = model(pixel_values).predicted_depth
    traced = torch.jit.trace(model, (pixel_values,), strict=False)
    torch.testing.assert_close(traced(pixel_values)["predicted_depth"], expected, rtol=1e-4, atol=1e-5)
    torch.export.save(torch.export.export(model, (pixel_values,)), tmp_path / "model.pt2")
    loaded = torch.export.load(tmp_path / "model.pt2").module()
    torch.testing.assert_close(loaded(pixel_values).predicted_depth, expected, rtol=1e-4, atol=1e-5)


@needs_compiler
def test_the_compiler_fuses_the_sampling():
    """Sampling, the grid's arithmetic and the pixel shuffle become one kernel for each DySample; no call of a library.

    The same decomposition gives Triton kernels on a GPU.
    """
    from torch._inductor.utils import run_and_get_code

    torch.compiler.reset()
    head = SDTHead(16, 16, use_cls_token=False).eval()
    levels = [torch.randn(1, 16, 2, 3) for _ in range(4)]
    with torch.no_grad():
        result, (code,) = run_and_get_code(torch.compile(head, fullgraph=True), levels)
        torch.testing.assert_close(result, head(levels), rtol=1e-5, atol=1e-6)
    calls = code[code.index("def call(") :]
    assert "aten.grid_sampler" not in calls and "aten.pixel_shuffle" not in calls
    sampling = re.findall(r"\b(cpp_fused_\w*grid_sampler\w*)\(", calls)
    assert len(sampling) == 4 and all("pixel_shuffle" in kernel for kernel in sampling)
