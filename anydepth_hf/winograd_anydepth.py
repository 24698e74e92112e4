"""Winograd's algorithm F(4x4, 3x3) (arXiv 1509.09308): convolutions with a quarter of the multiplications."""

from collections.abc import Sequence

import numpy as np
import torch

# 4x4 tiles that each thread transforms at once: few enough for the caches.
TILES_PER_THREAD = 128
# The narrowest convolution for which the transforms cost less than they save.
MIN_CHANNELS = 64


class WinogradConv:
    """3x3 convolution of a float32 window `(4 * m + 2, 4 * n + 2, in_channels)`, with an optional ReLU.

    Each 4x4 tile of the result comes from 6x6 values, transformed to 36 independent matrix products over the
    channels. The transforms evaluate at 0, +-3/4, +-3/2 and infinity: a quarter of the rounding errors of the usual 0,
    +-1, +-2 and infinity.
    """

    tile = 4

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, relu: bool):
        input_transform, weight_transform, output_transform = winograd_matrices()
        out_channels, in_channels = weight.shape[:2]
        weight = weight_transform @ weight.double().permute(2, 3, 0, 1).reshape(9, -1)
        self.weight = weight.float().view(36, out_channels, in_channels)
        self.input_transform, self.output_transform = input_transform.float(), output_transform.float()
        self.bias, self.relu = bias, relu

    def __call__(self, window: torch.Tensor) -> torch.Tensor:
        out_channels, in_channels = self.weight.shape[1:]
        tiles = overlapping_tiles(window)
        rows, columns = tiles.shape[2:4]
        result = window.new_empty(4 * rows, 4 * columns, out_channels)
        result_tiles = result.view(rows, 4, columns, 4, out_channels).permute(1, 3, 0, 2, 4)
        count = TILES_PER_THREAD * torch.get_num_threads()
        block_columns = min(columns, count)
        block_rows = min(rows, max(1, count // columns))
        # allocated once a call: fresh pages for every block would cost as much as the transforms
        buffers = [
            window.new_empty(36 * block_rows * block_columns * channels)
            for channels in (in_channels, in_channels, out_channels, out_channels)
        ]
        for row in range(0, rows, block_rows):
            for column in range(0, columns, block_columns):
                block = (..., slice(row, row + block_rows), slice(column, column + block_columns), slice(None))
                self.convolve_tiles(tiles[block], result_tiles[block], buffers)
        return result

    def convolve_tiles(self, tiles: torch.Tensor, result: torch.Tensor, buffers: Sequence[torch.Tensor]):
        """Tiles `(6, 6, rows, columns, in_channels)` to `result (4, 4, rows, columns, out_channels)`."""
        out_channels, in_channels = self.weight.shape[1:]
        count = tiles[0, 0, :, :, 0].numel()
        values, spectrum = (buffer[: 36 * count * in_channels].view(36, -1) for buffer in buffers[:2])
        product = buffers[2][: 36 * count * out_channels].view(36, -1)
        output = buffers[3][: 16 * count * out_channels].view(16, -1)
        values.view(tiles.shape).copy_(tiles)
        torch.mm(self.input_transform, values, out=spectrum)
        multiply(spectrum.view(36, count, in_channels), self.weight, product.view(36, count, out_channels))
        torch.mm(self.output_transform, product, out=output)
        output = output.view(-1, out_channels).add_(self.bias)
        result.copy_((output.relu_() if self.relu else output).view(result.shape))


def overlapping_tiles(window: torch.Tensor) -> torch.Tensor:
    """View `(6, 6, rows, columns, channels)` of a window `(4 * rows + 2, 4 * columns + 2, channels)`."""
    rows, columns = (side // 4 for side in window.shape[:2])
    row_stride, column_stride, _ = window.stride()
    strides = (row_stride, column_stride, 4 * row_stride, 4 * column_stride, 1)
    return window.as_strided((6, 6, rows, columns, window.shape[2]), strides)


def multiply(left: torch.Tensor, right: torch.Tensor, result: torch.Tensor, add: bool = False):
    """Writes or adds batched `left @ right.T`, `(batch, rows, inner)` by `(batch, columns, inner)`, to `result`."""
    if not torch.backends.mkldnn.is_available():
        if add:
            result.baddbmm_(left, right.transpose(1, 2))
        else:
            torch.bmm(left, right.transpose(1, 2), out=result)
        return
    # oneDNN's product; that of MKL, behind `bmm`, takes twice as long on AMD's CPUs
    for one, other, target in zip(left, right, result):
        product = torch.ops.mkldnn._linear_pointwise(one, other, None, "none", [], "")
        target.add_(product) if add else target.copy_(product)


class WinogradWeightGradient:
    """Gradient of the weight `(out_channels, in_channels, 3, 3)` of a `WinogradConv`, summed over windows.

    The products of the transformed inputs and the transformed gradients are summed before they are transformed back.
    """

    def __init__(self, weight: torch.Tensor):
        input_transform, weight_transform, output_transform = (matrix.float() for matrix in winograd_matrices())
        self.input_transform, self.gradient_transform = input_transform, output_transform.T.contiguous()
        self.weight_transform, self.shape = weight_transform, weight.shape
        self.sum = weight.new_zeros(36, *weight.shape[:2])
        self.buffers: list[torch.Tensor] = []

    def add(self, window: torch.Tensor, gradient: torch.Tensor):
        """Adds the gradient of a window `(4 * m + 2, 4 * n + 2, in_channels)` and of the result's gradient.

        `gradient` `(4 * m + 2, 4 * n + 2, out_channels)` has a border of one, which does not count.
        """
        tiles = overlapping_tiles(window)
        rows, columns = tiles.shape[2:4]
        gradient = gradient[1:-1, 1:-1].unflatten(1, (columns, 4)).unflatten(0, (rows, 4)).permute(1, 3, 0, 2, 4)
        spectra = []
        for index, (values, transform) in enumerate(
            ((tiles, self.input_transform), (gradient, self.gradient_transform))
        ):
            flat = self.buffer(2 * index, values.numel()).view(len(transform.T), -1)
            flat.view(values.shape).copy_(values)
            spectrum = self.buffer(2 * index + 1, 36 * flat.shape[1]).view(36, -1)
            torch.mm(transform, flat, out=spectrum)
            spectra.append(spectrum.view(36, rows * columns, -1).transpose(1, 2))
        multiply(spectra[1], spectra[0], self.sum, add=True)

    def buffer(self, index: int, size: int) -> torch.Tensor:
        # kept from one window to the next: fresh pages would cost as much as the transforms
        if index == len(self.buffers):
            self.buffers.append(self.sum.new_empty(size))
        if len(self.buffers[index]) < size:
            self.buffers[index] = self.sum.new_empty(size)
        return self.buffers[index][:size]

    def result(self) -> torch.Tensor:
        out_channels, in_channels = self.shape[:2]
        gradient = torch.mm(self.weight_transform.T, self.sum.view(36, -1))
        return gradient.view(3, 3, out_channels, in_channels).permute(2, 3, 0, 1).contiguous()


def winograd_matrices() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """float64 transforms of flattened 6x6 inputs (36, 36), 3x3 weights (36, 9) and products (16, 36)."""
    points = np.array([0, 0.75, -0.75, 1.5, -1.5])
    powers = points[:, None] ** np.arange(4)
    differences = points[:, None] - points + np.eye(5)
    infinity = np.eye(6)[5:]
    inputs = np.array([[*np.poly(np.delete(points, index))[::-1], 0] for index in range(5)] + [np.poly(points)[::-1]])
    weights = np.concatenate([powers[:, :3] / differences.prod(axis=1, keepdims=True), infinity[:, 3:]])
    outputs = np.concatenate([powers, infinity[:, 2:]]).T
    return tuple(torch.from_numpy(np.kron(matrix, matrix)) for matrix in (inputs, weights, outputs))


def has_exact_matmul() -> bool:
    """Whether float32 products are float32 products: the algorithm multiplies the errors of bfloat16 ones."""
    matmul = getattr(torch.backends.mkldnn, "matmul", None)  # torch 2.9
    precision = torch.get_float32_matmul_precision() if matmul is None else matmul.fp32_precision
    return precision in ("highest", "none", "ieee")


def is_worthwhile(weight: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether the algorithm is exact enough, and faster, for a weight `(out_channels, in_channels, 3, 3)`."""
    return dtype == torch.float32 and min(weight.shape[:2]) >= MIN_CHANNELS and has_exact_matmul()


__all__ = ["WinogradConv", "WinogradWeightGradient", "has_exact_matmul", "is_worthwhile"]
