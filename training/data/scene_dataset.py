"""Scenes as a map-style data set on the CPU: for writing shards, for mixtures with other data, for evaluation."""

from training.data.readers import DepthSample
from training.scenes.collate import check_kind
from training.scenes.render import render_batch


class SceneDataset:
    """`length` scenes of one size; item k is the scene of seed `seed` * 2**64 + k, as `SceneBatches` numbers them.

    Args:
        size: (height, width) in pixels.
        kind: one of `training.scenes.KIND_NAMES`, or None for the mixture.

    Raises:
        ValueError: unknown kind.
    """

    def __init__(self, length: int, seed: int = 0, size: tuple[int, int] = (384, 512), kind: str | None = None):
        check_kind(kind)
        self.length, self.seed, self.size, self.kind = length, seed, size, kind

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> DepthSample:
        """Renders one scene on the CPU. Raises IndexError outside 0 .. length - 1."""
        if not 0 <= index < self.length:
            raise IndexError(f"scene {index} of {self.length}")
        scene = render_batch([(self.seed << 64) + index], *self.size, "cpu", self.kind)
        image = scene["image"][0].permute(1, 2, 0).contiguous().numpy()
        depth, valid = scene["depth"][0].numpy(), ~scene["sky"][0].numpy()
        return DepthSample(image, depth, valid, True, f"scene {index} of seed {self.seed}")
