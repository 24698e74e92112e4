"""Fixtures for tests that need a Hub, a process of its own, or a small saved model."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

# Read when torch is imported, here and in child processes: tests run side by side, and their models are tiny.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read when huggingface_hub is imported: everything that tests upload goes to loopback by plain HTTP, quietly.
os.environ.update(HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_TELEMETRY="1")

ROOT = Path(__file__).resolve().parents[1]
needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="Inductor needs a C++ compiler")


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also run the tests that take long")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: runs with --long only")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        config.hook.pytest_deselected(items=[item for item in items if "long" in item.keywords])
        items[:] = [item for item in items if "long" not in item.keywords]


@pytest.fixture
def hub():
    """An empty Hub on loopback."""
    from tests.hub_server import HubServer

    with HubServer() as server:
        yield server


@pytest.fixture
def run_process(tmp_path):
    """Runs Python in a process of its own, in an empty folder, isolated from the environment's paths and caches.

    `run_process(*arguments, hub=None, token=None)` returns the finished process with text outputs.
    """

    def run(*arguments, hub=None, token=None) -> subprocess.CompletedProcess:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHON"))}
        environment |= {"HF_HOME": str(tmp_path / "hf_home"), "HF_HUB_DISABLE_XET": "1", "OMP_NUM_THREADS": "1"}
        environment |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        environment |= {"HF_ENDPOINT": hub.url} if hub else {"HF_HUB_OFFLINE": "1"}
        environment |= {"HF_TOKEN": token} if token else {}
        folder = tmp_path / "elsewhere"
        folder.mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, "-I", *map(str, arguments)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


TINY_BACKBONES = {
    "dinov3_vit": {"intermediate_size": 64, "num_register_tokens": 2, "patch_size": 16},
    "dinov2": {"image_size": 56, "patch_size": 14, "use_mask_token": False},
    "depth_anything_3": {"image_size": 56, "alt_start": 2},
    "vggt": {"image_size": 56, "num_patch_encoder_layers": 2},
}


@pytest.fixture(scope="session")
def save_tiny_model(tmp_path_factory):
    """`save_tiny_model(model_type)` returns the folder of a small model, saved once, with its processor."""
    folders = {}

    def save(model_type: str = "dinov3_vit") -> Path:
        if model_type not in folders:
            import torch

            from anydepth_hf import AnyDepthConfig, AnyDepthForDepthEstimation, AnyDepthImageProcessor

            backbone = {"model_type": model_type, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2}
            backbone |= {"out_indices": [1, 2, 3, 4], **TINY_BACKBONES[model_type]}
            config = AnyDepthConfig(backbone_config=backbone, fusion_hidden_size=16, dysample_groups=4)
            torch.manual_seed(0)
            model = AnyDepthForDepthEstimation(config)
            # predictions that depend on the image, on the live side of the last ReLU
            for parameter in model.parameters():
                parameter.data.mul_(2 if parameter.ndim > 1 else 1)
            torch.nn.init.constant_(model.head.output_conv[-1].bias, 3.0)
            folders[model_type] = tmp_path_factory.mktemp(model_type)
            model.save_pretrained(folders[model_type])
            processor = AnyDepthImageProcessor(size={"shortest_edge": 56}, ensure_multiple_of=config.patch_size)
            processor.save_pretrained(folders[model_type])
        return folders[model_type]

    return save


@pytest.fixture(scope="session")
def exported_tiny_model(save_tiny_model, tmp_path_factory):
    """Folder of a small model, and one of its ONNX files in float32 and int8, written once by the command."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="needs the extra export")
    from anydepth_cli.main import main

    model, folder = save_tiny_model(), tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent  # of all workers
    output = folder / "exported"
    with FileLock(folder / "exported.lock"):
        if not output.exists():
            options = ["--model", str(model), "--output", str(output), "--precision", "fp32", "int8"]
            assert main(["export", *options]) == 0
    return model, output
