"""What a client sends, read with a limit, and what it is told when that will not do."""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import PurePath

from PIL import Image
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from .image_io import open_image

_OVERHEAD = 2**16  # of multipart/form-data: its boundaries and headers
_DRAIN_BYTES, _DRAIN_SECONDS = 2**28, 5.0
UNNAMED = "image"
HOW = (
    "send the image as the body with `Content-Type: image/jpeg` (or its own image type), or as the field `file` of "
    "multipart/form-data"
)


class Refusal(Exception):
    """A request that gets an answer other than its result: a status of HTTP, a sentence, and perhaps headers."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None):
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers


@dataclass(frozen=True, eq=False)
class Upload:
    """An image as a client sent it, for `Predictor.read`; its name has letters, digits, `_`, `-` and `.` only."""

    name: str
    data: bytes = field(repr=False)
    max_pixels: int

    def open(self) -> Image.Image:
        """The decoded image, upright; raises as `open_image`."""
        return open_image(
            self.data, name=self.name if self.name != UNNAMED else "The image", max_pixels=self.max_pixels
        )


class Body:
    """The body of a request as it comes in, by calls as in ASGI."""

    def __init__(self, receive: Callable[[], Awaitable]):
        self.receive, self.seen, self.ended, self.max_bytes = receive, 0, False, float("inf")

    async def __call__(self):
        """The next message; raises a `Refusal` where the body is longer than `max_bytes`."""
        message = await self.receive()
        self.seen += len(message.get("body", b""))
        self.ended = message["type"] == "http.disconnect" or not message.get("more_body", False)
        if self.seen > self.max_bytes:
            raise too_long(self.max_bytes)
        return message

    async def drain(self) -> None:
        """Reads and forgets the rest, within limits: a client that is still sending does not read its answer."""
        self.max_bytes = float("inf")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not self.ended and self.seen < _DRAIN_BYTES:
                    await self()

    async def gone(self) -> None:
        """Returns when the client has closed its connection; for use after the body has been read."""
        while (await self())["type"] != "http.disconnect":
            pass


async def read_upload(request: Request, body: Body, max_bytes: int, max_pixels: int) -> Upload:
    """
    Reads the image of a request: its body, or its field `file`.

    Raises:
        Refusal: no image, more than `max_bytes`, or a body that is not what its type says.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    form = kind == "multipart/form-data"
    if not form and not kind.startswith("image/") and kind != "application/octet-stream":
        raise Refusal(415, f"{'No Content-Type' if not kind else f'The Content-Type {kind[:80]} is not read'}: {HOW}.")
    declared = request.headers.get("content-length", "")
    body.max_bytes = max_bytes + (_OVERHEAD if form else 0)
    if declared.isdecimal() and int(declared) > body.max_bytes:
        raise too_long(max_bytes)
    incoming = Request(request.scope, body)
    name, data = await _field(incoming) if form else (UNNAMED, await incoming.body())
    if len(data) > max_bytes:
        raise too_long(max_bytes)
    if not data:
        raise Refusal(422, f"The image is empty: {HOW}.")
    return Upload(name, data, max_pixels)


async def _field(request: Request) -> tuple[str, bytes]:
    try:
        async with request.form(max_files=1, max_fields=8) as form:
            if others := sorted(set(form) - {"file"}):
                image = isinstance(form[others[0]], UploadFile)
                place = "the image belongs into `file`" if image else "options go into the address, ?format=exr"
                raise Refusal(422, f"The form has the field {others[0][:80]!r}: {place}.")
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise Refusal(422, f"The form has no file in its field `file`: {HOW}.")
            return safe_name(file.filename or ""), await file.read()
    except HTTPException as error:  # a form that cannot be parsed, or with several files
        raise Refusal(400, f"The form cannot be read ({str(error.detail).rstrip('.')}): {HOW}.") from error


def too_long(max_bytes: float) -> Refusal:
    """The answer to a file of more bytes."""
    return Refusal(413, f"An image's file may have {max_bytes / 1e6:g} MB here, and this one has more.")


def safe_name(name: str) -> str:
    """A file name without folders, of letters, digits, `_`, `-` and `.` alone, and short."""
    path = PurePath(name.replace("\\", "/").rpartition("/")[2])
    stem, suffix = (re.sub(r"[^\w.-]+", "_", part) for part in (path.stem, path.suffix))
    return (stem.lstrip(".")[:50] or UNNAMED) + suffix[:10]
