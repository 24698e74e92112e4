"""DPT heads: Depth Anything V2's, whose names Depth Anything 3 and VGGT kept, and the DINOv3 repository's."""

from .renaming import CheckpointFormat, ConversionError, Part, RenamingTable, StateDict
from .settings import Settings

DEPTH_ANYTHING = RenamingTable(
    ("projects.#", "reassemble.#.projection"),
    ("readout_projects.#.0", "reassemble.#.readout"),
    ("resize_layers.#", "reassemble.#.resize"),
    *((f"scratch.layer{level + 1}_rn", f"convs.{level}") for level in range(4)),
    # ours count from the coarsest level, which is the original's fourth
    *(
        (f"scratch.refinenet{4 - index}.{original}", f"fusion.{index}.{ours}")
        for index in range(4)
        for original, ours in (("resConfUnit1", "lateral"), ("resConfUnit2", "residual"), ("out_conv", "projection"))
    ),
    ("scratch.output_conv1", "output_conv1"),
    ("scratch.output_conv2", "output_conv2"),
)
DINOV3 = RenamingTable(
    ("reassemble_blocks.projects.#.conv", "reassemble.#.projection"),
    ("reassemble_blocks.readout_projects.#.0", "reassemble.#.readout"),
    ("reassemble_blocks.resize_layers.#", "reassemble.#.resize"),
    ("reassemble_blocks.batchnorm_layers.#", "reassemble.#.norm"),
    ("convs.#.conv", "convs.#"),
    ("fusion_blocks.#.res_conv_unit1.conv1.conv", "fusion.#.lateral.conv1"),
    ("fusion_blocks.#.res_conv_unit1.conv2.conv", "fusion.#.lateral.conv2"),
    ("fusion_blocks.#.res_conv_unit2.conv1.conv", "fusion.#.residual.conv1"),
    ("fusion_blocks.#.res_conv_unit2.conv2.conv", "fusion.#.residual.conv2"),
    ("fusion_blocks.#.project.conv", "fusion.#.projection"),
    ("project.conv", "project"),
    ("conv_depth.head.0", "output_conv1"),
    ("conv_depth.head.2", "output_conv2.0"),
    ("conv_depth.head.4", "output_conv2.2"),
)
# The coarsest fusion has nothing to add; Depth Anything V2 stores the unused unit all the same.
UNUSED = "fusion.0.lateral."


def convert_dpt_state_dict(state_dict: StateDict) -> StateDict:
    """The tensors of a head of the Depth Anything family under [`DPTHead`]'s names; unknown names pass through."""
    converted = DEPTH_ANYTHING.convert(state_dict)
    return {name: tensor for name, tensor in converted.items() if not name.startswith(UNUSED)}


def read_dpt_sizes(converted: StateDict) -> dict:
    """Fields of [`AnyDepthConfig`] that can be read off the tensors of a [`DPTHead`] (its own names)."""
    return {
        "head_type": "dpt",
        "use_cls_token": "reassemble.0.readout.weight" in converted,
        "use_batch_norm": "reassemble.0.norm.weight" in converted,
        "fusion_hidden_size": converted["convs.0.weight"].shape[0],
        "reassemble_hidden_sizes": [converted[f"reassemble.{level}.projection.weight"].shape[0] for level in range(4)],
        "num_output_channels": converted["output_conv2.2.weight"].shape[0],
    }


def read_dinov3_dpt(state_dict: StateDict, settings: Settings) -> Part:
    converted = DINOV3.convert(state_dict)
    return Part(converted, fields={**read_dpt_sizes(converted), "dpt_style": "dinov3"})


def read_depth_anything_v2_dpt(state_dict: StateDict, settings: Settings) -> Part:
    """
    The relative models give disparity. The metric ones have the same tensors and give `max_depth * sigmoid(x)`
    metres, so they are told apart by `--set depth_estimation_type=metric --set max_depth=80`.
    """
    converted = convert_dpt_state_dict(state_dict)
    fields = {**read_dpt_sizes(converted), "dpt_style": "depth_anything", "min_depth": 0.0}
    if settings.model.get("depth_estimation_type") == "metric":
        if "max_depth" not in settings.model:
            raise ConversionError(
                "A metric model's range cannot be read off the weights; give it, in metres, with "
                "--set max_depth=20 (indoor, trained on Hypersim) or --set max_depth=80 (outdoor, Virtual KITTI)."
            )
        fields |= {"output_activation": "sigmoid", "prediction_type": "depth"}
    dropped = len(state_dict) - len(converted)
    notes = [f"Dropped {dropped} tensors of a residual unit that the head never runs."] if dropped else []
    return Part(converted, fields=fields, notes=notes)


DINOV3_DPT = CheckpointFormat(
    "DPT head (DINOv3 style)",
    "anydepth",
    ("reassemble_blocks.projects.0.conv.weight", "conv_depth.head.4.weight"),
    read_dinov3_dpt,
    DINOV3,
    head_type="dpt",
)
DEPTH_ANYTHING_V2_DPT = CheckpointFormat(
    "DPT head of Depth Anything V2",
    "dav2",
    ("scratch.layer1_rn.weight", "projects.0.weight", "scratch.output_conv2.2.weight"),
    read_depth_anything_v2_dpt,
    DEPTH_ANYTHING,
    absent=("scratch.output_conv1_aux.0.0.weight", "scratch.sky_output_conv2.0.weight", "norm.weight"),
    head_type="dpt",
)
