"""Names of the DPT head that Depth Anything V2, Depth Anything 3 and VGGT share, in terms of [`DPTHead`]."""

import re

import torch

RENAMES = (
    (r"^projects\.(\d)\.", r"reassemble.\1.projection."),
    (r"^resize_layers\.(\d)\.", r"reassemble.\1.resize."),
    (r"^scratch\.layer(\d)_rn\.", lambda match: f"convs.{int(match[1]) - 1}."),
    # ours count from the coarsest level, which is the original's fourth
    (r"^scratch\.refinenet(\d)\.", lambda match: f"fusion.{4 - int(match[1])}."),
    (r"^(fusion\.\d)\.resConfUnit1\.", r"\1.lateral."),
    (r"^(fusion\.\d)\.resConfUnit2\.", r"\1.residual."),
    (r"^(fusion\.\d)\.out_conv\.", r"\1.projection."),
    (r"^scratch\.output_conv", "output_conv"),
)
# The coarsest fusion has nothing to add; Depth Anything V2 stores the unused unit all the same.
UNUSED = "fusion.0.lateral."


def convert_dpt_state_dict(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """
    Rename the tensors of a DPT head of the Depth Anything family.

    Args:
        state_dict: the head's tensors under their original names, without a prefix (`scratch.layer1_rn.weight`).

    Returns:
        The same tensors under [`DPTHead`]'s names. Names it does not know pass through.
    """
    converted = {}
    for key, tensor in state_dict.items():
        for pattern, replacement in RENAMES:
            key = re.sub(pattern, replacement, key)
        if not key.startswith(UNUSED):
            converted[key] = tensor
    return converted
