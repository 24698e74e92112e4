"""2-D rotary positions: the tables' values and precision."""

import math

import torch

from anydepth_hf.backbone_rope import apply_rotary, rotary_tables

CPU = torch.device("cpu")


def test_tables_hold_the_angles_of_each_patch():
    cos, sin = rotary_tables((3, 5), 2, 16, 100.0, CPU)
    assert cos.shape == sin.shape == (2 + 15, 16) and cos.dtype == torch.float32
    for token, (y, x) in {0: (0, 0), 1: (0, 0), 2: (1, 1), 2 + 5 + 3: (2, 4), 16: (3, 5)}.items():
        for channel in range(16):
            angle = (y if channel < 8 else x) * 100.0 ** (-2 * (channel % 4) / 8)
            assert math.isclose(cos[token, channel], math.cos(angle), abs_tol=1e-6)
            assert math.isclose(sin[token, channel], math.sin(angle), abs_tol=1e-6)


def test_shared_position_puts_all_patches_at_one_place():
    cos, sin = rotary_tables((3, 5), 1, 16, 100.0, CPU, shared_position=True)
    true_cos, true_sin = rotary_tables((1, 1), 1, 16, 100.0, CPU)
    assert torch.equal(cos[1:], true_cos[1:].expand(15, -1)) and torch.equal(sin[1:], true_sin[1:].expand(15, -1))
    assert (cos[0] == 1).all() and (sin[0] == 0).all()


def test_angles_stay_float32_for_bfloat16_states():
    # at row 73 an angle rounded to bfloat16 would be off by up to 0.25
    cos, sin = rotary_tables((73, 1), 0, 16, 100.0, CPU)
    states = torch.randn(1, 2, 73, 16).bfloat16()
    turned = apply_rotary(states, cos, sin)
    assert turned.dtype == torch.float32
    torch.testing.assert_close(turned, apply_rotary(states.double(), cos.double(), sin.double()).float())
