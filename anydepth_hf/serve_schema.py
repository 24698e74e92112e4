"""What requests to `anydepth serve` and its answers hold, as OpenAPI describes it. Needs the extra `serve`."""

import enum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .colormaps import COLORMAPS
from .outputs import FORMATS
from .serve_results import MEDIA_TYPES

Format = enum.StrEnum("Format", [name for name in FORMATS if name != "normals_array"])
Colormap = enum.StrEnum("Colormap", list(COLORMAPS))


class Options(BaseModel):
    """What a client may ask for, beside the image."""

    model_config = ConfigDict(extra="forbid")
    format: list[Format] = Field(
        [Format("png")],
        min_length=1,
        max_length=len(Format),
        description="of the result, as in `anydepth predict --format`; several, or colmap, come as a zip archive",
    )
    colormap: Colormap = Field(Colormap("spectral"), description="of format color")
    legend: bool = Field(False, description="format color says what its colours mean")
    step: float | None = Field(
        None,
        ge=1e-9,
        le=1e6,
        description="distance of two levels of format png: 0.001 for millimetres of metric depth",
    )
    fov: float | None = Field(
        None, ge=1, le=179, description="horizontal field of view in degrees (default: what the image says)"
    )
    points: bool = Field(False, description="formats ply, glb, html and colmap hold points instead of a surface")


class Problem(BaseModel):
    """What went wrong, as one sentence."""

    detail: str


class Health(BaseModel):
    """State of the server."""

    status: Literal["ready"] = "ready"
    model: str
    version: str = Field(description="of anydepth-hf")
    kind: str = Field(description="what the values are: disparity or depth")
    unit: str | None = Field(description="m or 1/m; null: known up to a scale and a shift")
    queue: int = Field(description="requests in work or waiting")
    pictures: int = Field(description="that have run")
    batches: int = Field(description="in which they ran")


PROBLEMS = {
    400: "the request cannot be read",
    408: "the image did not arrive in time",
    413: "too many bytes or pixels",
    415: "no image, or one of a format that is not read",
    422: "an option that does not exist or fit, or an image that cannot be used",
    500: "the server failed",
    501: "a format that needs a package which this server lacks",
    503: "too many requests, or this one took too long",
}
BINARY = {"schema": {"type": "string", "format": "binary"}}
RESULT = {
    "description": "the map, in the format asked for",
    "content": dict.fromkeys(MEDIA_TYPES.values(), BINARY),
    "headers": {
        "AnyDepth-Kind": {"schema": {"enum": ["disparity", "depth"]}, "description": "what the values are"},
        "AnyDepth-Unit": {"schema": {"enum": ["m", "1/m", "none"]}, "description": "none: up to a scale and a shift"},
        "AnyDepth-Scale": {"schema": {"type": "number"}, "description": "value = scale * stored + offset"},
        "AnyDepth-Offset": {"schema": {"type": "number"}},
        "AnyDepth-Metadata": {"schema": {"type": "string"}, "description": "JSON: all that is known of the map"},
    },
}
BODY = {
    "required": True,
    "content": {
        "image/*": BINARY,
        "application/octet-stream": BINARY,
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": BINARY["schema"]},
                "required": ["file"],
                "additionalProperties": False,
            },
            "encoding": {"file": {"contentType": "image/*"}},
        },
    },
}
