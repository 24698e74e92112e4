"""The renderer's arithmetic as plain functions, or fused by `torch.compile`, which moves several times less memory."""

import warnings
from functools import lru_cache, partial

import torch

from .ambient import ambient_occlusion
from .primitives import intersections
from .sensor import develop
from .shading import radiance
from .shadows import shadow_pairs, soften
from .surfaces import surfaces
from .textures import texture_atlas
from .visibility import camera_pairs

_SHAPES = 64  # compiled variants of one function: primitive kinds, image sizes, with and without height fields


class _Fused:
    """A compiled function that turns into the plain one, with a warning, where the compiler fails."""

    def __init__(self, function, dynamic):
        self.plain, self.compiled = function, torch.compile(function, dynamic=dynamic)

    def __call__(self, *arguments):
        if self.compiled is not None:
            try:
                with torch._dynamo.config.patch(recompile_limit=_SHAPES):
                    return self.compiled(*arguments)
            except (torch._dynamo.exc.TorchDynamoException, RuntimeError) as error:
                if isinstance(error, torch.OutOfMemoryError):
                    raise
                warnings.warn(f"scenes are rendered without torch.compile, which failed: {error}", stacklevel=2)
                self.compiled = None
        return self.plain(*arguments)


class Kernels:
    """`camera` and `shadow`: functions of each primitive kind over (object, tile) pairs; the others over images."""

    def __init__(self, device, compiled):
        def fused(function, dynamic=None):
            return _Fused(function, dynamic) if compiled else function

        functions = intersections(texture_atlas(device).foliage_mask)
        self.kinds = tuple(functions)
        # The number of pairs changes with every batch, the image's size seldom.
        self.camera = {kind: fused(partial(camera_pairs, function), True) for kind, function in functions.items()}
        self.shadow = {kind: fused(partial(shadow_pairs, function), True) for kind, function in functions.items()}
        self.surfaces, self.ambient_occlusion = fused(surfaces), fused(ambient_occlusion)
        self.soften, self.radiance, self.develop = fused(soften), fused(radiance), fused(develop)


@lru_cache(maxsize=8)
def get_kernels(device, compiled):
    """The kernels for a device (a string), made once a process."""
    return Kernels(device, compiled)
