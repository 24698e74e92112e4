"""Every preset: its data, and the life of a model made from it."""

import json
from pathlib import Path

import pytest
import torch

from anydepth_hf import BUNDLED_CHECKPOINT, AnyDepthForDepthEstimation
from anydepth_hf.licenses import WEIGHTS
from anydepth_hf.originals import encoder_source, is_gated, original, preset_of_repository, repository
from anydepth_hf.presets import preset, preset_config, preset_names
from conversion.hub.release_list import released_config

# encoders that the paper's tables do not have, with the heads that they were released with
BESIDE_THE_PAPER = [
    *("dav2-small-dpt", "dav2-large-dpt", "da3-small-dual-dpt", "da3-base-dual-dpt", "da3-giant-dual-dpt"),
    *("da3-mono-large-dpt", "da3-metric-large-dpt"),
]
EVALUATION_SETS = ["nyuv2", "kitti", "eth3d", "scannet", "diode"]
SMALL_ENCODER = {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 3, "out_indices": [1, 2, 3, 4]}
SMALL_FIELDS = {
    "dinov3_vit": {"intermediate_size": 96},
    "dinov2": {"image_size": 56},
    "depth_anything_3": {"image_size": 56, "alt_start": 2},
    "vggt": {"image_size": 56, "num_patch_encoder_layers": 2},
}


def small_config(name):
    full = preset_config(name)
    overrides = {"fusion_hidden_size": 16}
    if full.reassemble_hidden_sizes:
        overrides["reassemble_hidden_sizes"] = [8, 12, 16, 16]
    if full.num_output_channels > 1:
        overrides["num_output_channels"] = 8
    encoder = {**SMALL_ENCODER, **SMALL_FIELDS[full.backbone_config.model_type]}
    if getattr(full.backbone_config, "alt_start", 0) is None:
        encoder["alt_start"] = None
    return preset_config(name, backbone_config=encoder, **overrides)


def test_the_tables_are_complete():
    assert preset_names() == [
        *(f"dinov3-{size}-{head}" for size in ("small", "base") for head in ("sdt", "sdt-compact", "dpt")),
        *("dinov3-large-sdt", "dinov3-large-dpt"),
        *("dav2-small-dpt", "dav2-base-sdt", "dav2-base-dpt", "dav2-large-dpt"),
        *("da3-small-dual-dpt", "da3-base-dual-dpt"),
        *("da3-large-sdt", "da3-large-dpt", "da3-large-dual-dpt"),
        *("da3-giant-dual-dpt", "da3-mono-large-dpt", "da3-metric-large-dpt"),
        *("vggt-1b-sdt", "vggt-1b-dpt"),
    ]


@pytest.mark.parametrize("name", preset_names())
def test_data_of_a_row(name):
    entry = preset(name)
    head_type = name.removeprefix(f"{entry['backbone']}-").removesuffix("-compact").replace("-", "_")
    assert entry["config"]["head_type"] == head_type and entry["title"]
    assert entry["encoder"]["id"] in WEIGHTS
    assert (entry["published"] is None) == (name.endswith("-compact") or name in BESIDE_THE_PAPER)
    for numbers in (entry["published"][key] for key in ("abs_rel_percent", "delta1_percent") if entry["published"]):
        assert list(numbers) == EVALUATION_SETS and all(0 < value < 100 for value in numbers.values())


@pytest.mark.parametrize(
    "name", [name for name in preset_names() if "parameters_millions" in (preset(name)["published"] or {})]
)
def test_published_sizes(name):
    with torch.device("meta"):
        model = AnyDepthForDepthEstimation(preset_config(name))
    published = preset(name)["published"]
    decoder = sum(p.numel() for p in model.head.parameters()) / 1e6
    assert decoder == pytest.approx(published["decoder_parameters_millions"], abs=0.01)
    # the paper counts the encoders as 21, 86 and 300 M
    assert model.num_parameters() / 1e6 == pytest.approx(published["parameters_millions"], rel=0.03)


@pytest.mark.parametrize("name", preset_names())
def test_life_of_a_row(name, tmp_path):
    torch.manual_seed(0)
    config = small_config(name)
    model = AnyDepthForDepthEstimation(config).train()
    patch = config.patch_size
    images, depth = torch.randn(2, 3, 3 * patch, 4 * patch), 1 + 9 * torch.rand(2, 3 * patch, 4 * patch)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    loss = model(images, labels=depth).loss
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    changed = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    assert all(key.startswith("head.") for key in changed)
    assert changed.issuperset(f"head.{key}" for key, parameter in model.head.named_parameters() if parameter.ndim > 1)

    model.eval().save_pretrained(tmp_path)
    reloaded, info = AnyDepthForDepthEstimation.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    with torch.inference_mode():
        prediction = model(images).predicted_depth
        assert prediction.shape == (2, 3 * patch, 4 * patch) and prediction.isfinite().all() and prediction.std() > 0
        assert torch.equal(reloaded(images).predicted_depth, prediction)
    for key, tensor in reloaded.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[key]), key


def test_overrides():
    config = preset_config("da3-large-sdt", fusion_hidden_size=128, backbone_config={"hidden_size": 128})
    assert config.fusion_hidden_size == 128 and config.head_input_norm
    assert config.backbone_config.hidden_size == 128 and config.backbone_config.alt_start == 8
    assert preset_config("da3-large-sdt").backbone_config.hidden_size == 1024
    assert preset_config("vggt-1b-sdt", backbone_config="dinov3-small").backbone_config.model_type == "dinov3_vit"


def test_unknown_row_is_explained():
    with pytest.raises(ValueError, match="Unknown preset 'da3-large-std'; did you mean da3-large-sdt"):
        preset("da3-large-std")


def test_encoders_that_load_and_those_that_come_with_their_own_head():
    assert encoder_source("dinov3-base-sdt") == "facebook/dinov3-vitb16-pretrain-lvd1689m"
    assert encoder_source("da3-large-sdt") == "da3-large-dual-dpt" and encoder_source("vggt-1b-sdt") == "vggt-1b-dpt"
    assert all(original(encoder_source(name)) for name in preset_names() if not name.startswith("dinov3"))


@pytest.mark.parametrize(
    ("name", "encoder", "head"),
    [
        ("da3-small-dual-dpt", 22_059_008, 2_932_706),
        ("da3-base-dual-dpt", 86_583_296, 11_704_162),
        ("da3-giant-dual-dpt", 1_136_489_216, 35_540_194),
        ("da3-mono-large-dpt", 304_367_616, None),
        ("da3-metric-large-dpt", 304_367_616, None),
    ],
)
def test_sizes_of_official_models(name, encoder, head):
    """Parameters of the modules in ByteDance-Seed/Depth-Anything-3, the head without its ray branch."""
    with torch.device("meta"):
        model = AnyDepthForDepthEstimation(preset_config(name, predict_confidence=head is not None))
    assert sum(p.numel() for p in model.backbone.parameters()) == encoder
    if head is not None:
        assert sum(p.numel() for p in model.head.parameters()) == head


def test_parameters_are_those_of_the_released_models():
    for name in preset_names():
        with torch.device("meta"):
            model = AnyDepthForDepthEstimation(released_config(name))
        assert preset(name)["parameters"] == sum(p.numel() for p in model.parameters()), name


def test_originals_have_their_licences_and_evidence():
    """Each file that is downloaded says how it is known; gated are Meta's DINOv3 alone."""
    repositories = json.loads((Path(BUNDLED_CHECKPOINT).parent / "originals.json").read_text())["repositories"]
    for name in preset_names():
        assert preset(name)["encoder"]["id"] in WEIGHTS
        assert is_gated(preset(name)["encoder"]["id"]) == name.startswith("dinov3")
        published = original(name)
        if published is None:
            assert name.startswith("dinov3") or name in ("da3-large-dpt", "vggt-1b-sdt")
            continue
        assert preset_of_repository(repository(name)) == name
        for file in [published.checkpoint, *published.companions, *filter(None, [published.encoder])]:
            assert file.revision and repositories[file.repo]["files"][file.name] in ("seen", "assumed")
            assert published.license.identifier in WEIGHTS[file.repo].derivatives
