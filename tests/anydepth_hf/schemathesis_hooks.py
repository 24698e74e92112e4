"""Bodies for schemathesis, which loads this file by SCHEMATHESIS_HOOKS: images, whole and damaged."""

import io

import schemathesis
from hypothesis import strategies as st
from PIL import Image


def picture(kind: str, mode: str, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(buffer, kind)
    return buffer.getvalue()


sides = st.integers(1, 70)
whole = st.builds(
    lambda kind, mode, width, height: picture(kind, mode, (width, height)),
    st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "WEBP"]),
    st.sampled_from(["L", "RGB"]),
    sides,
    sides,
)
cut = st.builds(lambda data, part: data[: int(len(data) * part)], whole, st.floats(0, 1))
for name in ("image/*", "image/png", "application/octet-stream"):
    schemathesis.openapi.media_type(name, st.one_of(whole, whole, whole, cut))
