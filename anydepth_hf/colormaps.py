"""Colour maps, each from near to far, as colours at equal distances with straight lines between them."""

import functools

import numpy as np

_COLORS = {
    # ColorBrewer's "Spectral" (colorbrewer2.org, Cynthia Brewer, Apache-2.0)
    "spectral": "9e0142 d53e4f f46d43 fdae61 fee08b ffffbf e6f598 abdda4 66c2a5 3288bd 5e4fa2",
    # Turbo (Anton Mikhailov, Apache-2.0); inferno, magma and viridis (Nathaniel Smith, Stefan van der Walt, CC0)
    "turbo": (
        "7a0403 940c01 a91601 bd2002 ce2d04 dc3c08 e84b0c f25e14 f9751d fd8c26 fea130 fcb436 f5c53a ead439 dbe236 "
        "caee34 b7f735 a2fc3c 8bff4b 6ffe60 52fa7a 36f492 22ebaa 18e1bc 1ad4d0 22c4e3 2fb2f4 3c9ffe 458cfd 477af1 "
        "4666dd 4452c1 3f3e9c 382870 30123b"
    ),
    "inferno": (
        "fcffa4 f3f688 f2ea69 f4dc4e f8cd37 fabf24 fcb014 fca208 fa9407 f8860e f47918 ef6d22 e9612b e25634 d94d3d "
        "d04446 c63d4d bb3654 b0315b a42c60 982766 8c2369 801f6c 741a6e 69166e 5c126e 510e6c 440a68 380962 2a0b56 "
        "1e0c45 130a33 0a0722 040211 000004"
    ),
    "magma": (
        "fcfdbf fcefb1 fde2a3 fed496 fec68a feb87e feaa74 fe9c6c fc8e64 fa805e f7725c f2645c ec5860 e44e64 d9466b "
        "ce4070 c23b75 b6367a aa337d 9d2e7f 912b81 852681 792282 6e1e81 621980 56147e 4a1079 3e0f72 311165 241254 "
        "1a1042 120c30 090720 030310 000004"
    ),
    "viridis": (
        "fde725 ebe51a d8e219 c4e022 b0dd2f 9cd93c 89d548 76d054 65cb5e 55c668 46c06f 39ba76 2eb37c 26ac82 21a585 "
        "1f9e88 1f978b 21908c 23898e 26828e 297b8e 2c748e 2e6d8e 32668e 355e8d 39568c 3d4e8a 404688 433d84 463480 "
        "472a7a 482072 481769 460c5f 440154"
    ),
    "gray": "ffffff 000000",
}
COLORMAPS = tuple(_COLORS)
"""Names of the colour maps. Only the last four say by brightness alone which of two pixels is nearer."""


@functools.cache
def color_table(name: str = "spectral", count: int = 1024) -> np.ndarray:
    """`count` colours of a map from near to far, uint8 `(count, 3)`, not to be written to."""
    if name not in _COLORS:
        raise ValueError(f"The colour map must be one of {', '.join(COLORMAPS)}, not {name!r}.")
    colors = np.array([list(bytes.fromhex(color)) for color in _COLORS[name].split()], dtype=np.float64)
    positions = np.linspace(0, 1, count)
    anchors = np.linspace(0, 1, len(colors))
    table = np.stack([np.interp(positions, anchors, channel) for channel in colors.T], axis=1)
    table = table.round().astype(np.uint8)
    table.setflags(write=False)
    return table
