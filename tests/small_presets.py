"""Presets at the size of the official implementations' fixtures (`tests/reference/`), and a Hub with these files.

`shrink()` changes the preset data in the running process; `fill(hub)` puts the files where the originals lie.
"""

import json
from pathlib import Path

REFERENCE = Path(__file__).parent / "reference"
LEVELS = {
    "dav2-small": [3, 6, 9, 12],
    "dav2-base": [3, 6, 9, 12],
    "da3-small": [4, 5, 6, 8],
    "da3-large": [4, 5, 6, 8],
    "da3-mono-large": [2, 4, 6, 8],
    "vggt-1b": [1, 2, 3, 4],
}
LAYERS = {"dav2": 12, "da3": 8, "vggt": 4}
PRESETS = {
    "dav2-small-dpt": "dav2-small",
    "dav2-base-sdt": "dav2-base",
    "dav2-base-dpt": "dav2-base",
    "da3-small-dual-dpt": "da3-small",
    "da3-large-sdt": "da3-large",
    "da3-mono-large-dpt": "da3-mono-large",
    "vggt-1b-dpt": "vggt-1b",
}
AUTHORS = "AIGeeksGroup/AnyDepth"


def shrink():
    """Gives the presets above the sizes of the fixtures, for the rest of the process."""
    from anydepth_hf import presets
    from anydepth_hf.configuration_anydepth import BACKBONE_PRESETS

    for name, backbone in PRESETS.items():
        sizes = {"hidden_size": 48, "num_attention_heads": 3, "image_size": 70, "out_indices": LEVELS[backbone]}
        sizes["num_hidden_layers"] = LAYERS[backbone.split("-")[0]]
        if BACKBONE_PRESETS[backbone].get("alt_start"):
            sizes["alt_start"] = 2
        if backbone == "vggt-1b":
            sizes["num_patch_encoder_layers"] = 3
        BACKBONE_PRESETS[backbone].update(sizes)
        config = presets.all_presets()[name]["config"]
        config["fusion_hidden_size"] = 16
        if config["head_type"] != "sdt":
            config["reassemble_hidden_sizes"] = [12, 16, 24, 32]


def sdt_decoder(width: int = 16, **options) -> dict:
    """The tensors of an SDT head under the authors' names, the same at every call."""
    import torch

    from anydepth_hf import SDTHead

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = SDTHead(48, width, **options)
    torch.nn.init.constant_(head.output_conv[-1].bias, 3.0)
    return {name: tensor.detach().clone() for name, tensor in head.state_dict().items()}


def saved(tensors: dict) -> bytes:
    """A PyTorch file with these tensors."""
    import io

    import torch

    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    return buffer.getvalue()


def fill(hub):
    """Puts the small originals on a loopback Hub under the names that `originals.json` has."""
    import torch
    from safetensors.torch import save

    from tests.hub_server import Repository

    def file(name: str) -> bytes:
        return (REFERENCE / name).read_bytes()

    def da3(model: str, name: str) -> dict[str, bytes]:
        return {"config.json": json.dumps({"model_name": model}).encode(), "model.safetensors": file(name)}

    hub.lfs_suffixes = (".pth", ".safetensors")
    for repo, tree in {
        AUTHORS: {"dav2_sdt_vitb.pth": saved(sdt_decoder()), "LICENSE": b"CC BY-NC-SA"},
        "depth-anything/Depth-Anything-V2-Small": {
            "depth_anything_v2_vits.pth": file("dav2.original.pth"),
            "LICENSE": b"Apache License 2.0",
        },
        "depth-anything/Depth-Anything-V2-Base": {"depth_anything_v2_vitb.pth": file("dav2.original.pth")},
        "depth-anything/DA3-SMALL": da3("da3-small", "da3_anyview.original.safetensors"),
        "depth-anything/DA3MONO-LARGE": da3("da3mono-large", "da3_mono.original.safetensors"),
        "facebook/VGGT-1B": {
            "model.safetensors": save(torch.load(REFERENCE / "vggt.original.pt", weights_only=True)),
        },
    }.items():
        hub.repositories[repo] = Repository()
        hub.repositories[repo].commit("main", tree)
