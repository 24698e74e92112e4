"""Arithmetic of vectors held as three tensors, or as one whose first axis is the component."""

import torch


def dot(a, b):
    """Scalar product; fused multiply-adds, for memory traffic is what rendering costs."""
    return torch.addcmul(torch.addcmul(a[0] * b[0], a[1], b[1]), a[2], b[2])


def normalize(v):
    return v * torch.rsqrt(dot(v, v).clamp(min=1e-12))


def to_local(axes, vector):
    """Rotates a world vector into the frame whose rows `axes` (nine tensors) holds; a tuple of three tensors."""
    return dot(axes[0:3], vector), dot(axes[3:6], vector), dot(axes[6:9], vector)


def to_world(axes, vector):
    """Rotates a vector of that frame back into the world; one tensor."""
    return torch.stack([dot(axes[k::3], vector) for k in range(3)])
