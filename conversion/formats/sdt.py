"""The official SDT head (AIGeeksGroup/AnyDepth), whose names [`SDTHead`] shares."""

from .renaming import CheckpointFormat, Part, StateDict
from .settings import Settings

STEPS = [f"upsample_{block}.dysample{step}" for block in (1, 2) for step in (1, 2)]
READOUTS = "weighted_fusion.readout_projects."


def read_head(state_dict: StateDict, settings: Settings) -> Part:
    state_dict, notes = dict(state_dict), []
    readouts = [name for name in state_dict if name.startswith(READOUTS)]
    use_cls_token = settings.model.get("use_cls_token", bool(readouts))
    if readouts and not use_cls_token:
        for name in readouts:
            del state_dict[name]
        notes.append(f"Dropped {len(readouts)} tensors of the class token's readout (use_cls_token=false).")
    elif readouts and "use_cls_token" not in settings.model:
        # official heads store the readout whether or not they run it
        notes.append("Assumed use_cls_token=true, as the readout is stored; --set use_cls_token=false otherwise.")
    width = state_dict["weighted_fusion.projections.0.0.weight"].shape[0]
    # a head of three widths has nothing of the last step
    steps = STEPS if any(name.startswith(STEPS[-1]) for name in state_dict) else STEPS[:-1]
    upsampling = [state_dict[f"{step}.1.weight"].shape[0] for step in steps]
    hidden = [state_dict[f"output_conv.{index}.weight"].shape[0] for index in (0, 2)]
    fields = {
        "head_type": "sdt",
        "use_cls_token": use_cls_token,
        "fusion_hidden_size": width,
        "upsample_hidden_sizes": None if upsampling == [width] * 4 else upsampling,
        "output_hidden_sizes": None if hidden == [upsampling[-1] // 2, 32] else hidden,
        # an x and a y offset for each of the 2 x 2 new pixels and each group
        "dysample_groups": state_dict[f"{STEPS[0]}.0.offset.weight"].shape[0] // 8,
        "dysample_scope": f"{STEPS[0]}.0.scope.weight" in state_dict,
        "num_output_channels": state_dict["output_conv.4.weight"].shape[0],
        "head_input_norm": "norm.weight" in state_dict,
        "use_detail_enhancer": "detail_enhancer.dwconv.weight" in state_dict,
    }
    return Part(state_dict, fields=fields, notes=notes)


SDT = CheckpointFormat(
    "SDT head",
    "anydepth",
    ("weighted_fusion.layer_weights", "weighted_fusion.projections.0.0.weight", "output_conv.4.weight"),
    read_head,
    head_type="sdt",
)
