"""What `anydepth serve` does with a request: reads the image, predicts in company, encodes the map."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, TypeVar

from PIL import Image
from starlette.requests import ClientDisconnect, Request

from anydepth_cli.sentences import one_line

from . import __version__
from .calibration import Calibration
from .camera import Intrinsics
from .depth_map import DepthMap
from .image_io import TooManyPixels, UnknownFormat
from .outputs import OutputOptions
from .outputs_3d import ENDINGS, ShapeOptions
from .serve_batches import Batcher
from .serve_results import Answer, make_answer
from .serve_schema import Health, Options
from .serve_uploads import Body, Refusal, Upload, read_upload

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """What a server takes."""

    max_bytes: int  # of an image
    max_pixels: int  # of an image
    max_queue: int  # requests at once
    timeout: float  # seconds for a request, waiting included
    workers: int  # threads that decode and encode


class Service:
    """One model and what its requests share; a calibration has the camera of images that do not tell theirs."""

    def __init__(self, batcher: Batcher, limits: Limits, calibration: Calibration | None = None):
        self.batcher, self.limits, self.calibration = batcher, limits, calibration
        self.pool = ThreadPoolExecutor(limits.workers, "serve")
        self.queue = 0

    def close(self):
        """Finishes what is in work."""
        self.batcher.close()
        self.pool.shutdown()

    def health(self) -> Health:
        """State of the server."""
        predictor = self.batcher.predictor
        return Health(
            model=predictor.name,
            version=__version__,
            kind=predictor.output_kind,
            unit=predictor.unit if predictor.alignment is None else "m",
            queue=self.queue,
            pictures=self.batcher.pictures,
            batches=self.batcher.batches,
        )

    async def answer(self, request: Request, options: Options) -> Answer:
        """
        Reads an image, predicts and encodes its map.

        Raises:
            Refusal: whatever keeps it from that.
        """
        body = Body(request.receive)
        try:
            self._check_formats(options)
            if self.queue >= self.limits.max_queue:
                raise Refusal(503, f"{self.queue} requests are waiting already; try again.", {"Retry-After": "1"})
            self.queue += 1
            try:
                return await self._answer(request, body, options)
            finally:
                self.queue -= 1
        except Refusal as refusal:
            if refusal.status != 408:  # then nothing is coming
                await body.drain()
            raise
        except ClientDisconnect as error:
            raise Refusal(400, "The client has gone.") from error

    def _check_formats(self, options: Options):
        predictor = self.batcher.predictor
        shapes = [name for name in options.format if name in ENDINGS]
        if shapes and not predictor.is_metric:
            raise Refusal(
                422,
                f"{shapes[0]} needs depth in metres, but {predictor.name} predicts {predictor.kind} up to an unknown "
                "scale and shift: start the server with --calibration (`anydepth calibrate` makes one).",
            )

    async def _answer(self, request: Request, body: Body, options: Options) -> Answer:
        upload = None
        try:
            async with asyncio.timeout(self.limits.timeout):
                upload = await read_upload(request, body, self.limits.max_bytes, self.limits.max_pixels)
                return await while_wanted(body, self._predict(upload, options))
        except TimeoutError as error:
            seconds = f"{self.limits.timeout:g} s"
            if upload is None:
                raise Refusal(408, f"The image did not arrive within {seconds}.") from error
            raise Refusal(503, f"The request took more than {seconds}; try again.", {"Retry-After": "5"}) from error

    async def _predict(self, upload: Upload, options: Options) -> Answer:
        predictor, loop = self.batcher.predictor, asyncio.get_running_loop()
        image, pixel_values = await loop.run_in_executor(self.pool, as_refusal, predictor.read, upload)
        try:
            depth = await asyncio.wrap_future(self.batcher.submit(upload, image, pixel_values))
        except ValueError as error:  # of this image: not finite, or too large for the memory
            raise Refusal(422, one_line(error)) from error
        return await loop.run_in_executor(self.pool, as_refusal, self._encode, depth, image, upload, options)

    def _encode(self, depth: DepthMap, image: Image.Image, upload: Upload, options: Options) -> Answer:
        camera = depth.intrinsics or (self.calibration and self.calibration.camera_of(*image.size))
        if options.fov is not None:
            camera = Intrinsics.from_fov(options.fov, *image.size)
        depth = replace(depth, intrinsics=camera)
        shapes = [name for name in options.format if name in ENDINGS]
        if shapes and camera is None:
            raise Refusal(
                422, f"{shapes[0]} needs the camera, and the image does not tell it: give its field of view as fov=60."
            )
        written = OutputOptions(
            formats=[str(name) for name in options.format],
            step=options.step,
            colormap=str(options.colormap),
            legend=options.legend,
            shape=ShapeOptions(points=options.points),
        )
        return make_answer(depth, image, PurePath(upload.name).stem, written)


def as_refusal(function, *args):
    """Calls a function; what it says about a client's image becomes a `Refusal`."""
    try:
        return function(*args)
    except (ValueError, ImportError) as error:
        statuses = {TooManyPixels: 413, UnknownFormat: 415, ImportError: 501}
        status = next((status for kind, status in statuses.items() if isinstance(error, kind)), 422)
        raise Refusal(status, one_line(error)) from error


async def while_wanted(body: Body, work: Coroutine[Any, Any, T]) -> T:
    """The result of some work, which is given up when the client has gone."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(body.gone())
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
