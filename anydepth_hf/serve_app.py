"""The HTTP interface of `anydepth serve`: its addresses, as a FastAPI application. Needs the extra `serve`."""

from typing import Annotated

import fastapi
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from . import __version__
from .serve_page import page
from .serve_schema import BODY, PROBLEMS, RESULT, Health, Options, Problem
from .serve_service import Service
from .serve_uploads import Body, Refusal


def create_app(service: Service) -> fastapi.FastAPI:
    """The application; its description is at `/openapi.json`, a page for people at `/`."""
    app = fastapi.FastAPI(
        title="AnyDepth",
        version=__version__,
        description="Depth or disparity of an image.",
        docs_url=None,  # FastAPI's pages load their scripts from a network
        redoc_url=None,
    )

    @app.post(
        "/predict",
        summary="Depth or disparity of an image",
        response_class=Response,
        responses={200: RESULT, **{code: {"model": Problem, "description": text} for code, text in PROBLEMS.items()}},
        openapi_extra={"requestBody": BODY},
    )
    async def predict(request: fastapi.Request, options: Annotated[Options, fastapi.Query()]):
        answer = await service.answer(request, options)
        return Response(answer.data, media_type=answer.media_type, headers=answer.headers)

    @app.get("/health", summary="State of the server")
    async def health() -> Health:
        return service.health()

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def index():
        return HTMLResponse(
            page(app.openapi()),
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"},
        )

    @app.exception_handler(Refusal)
    async def refuse(request: fastapi.Request, refusal: Refusal):
        return JSONResponse({"detail": refusal.sentence}, refusal.status, refusal.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: fastapi.Request, error: RequestValidationError):
        await Body(request.receive).drain()
        return JSONResponse({"detail": about_option(error.errors()[0])}, 422)

    @app.exception_handler(HTTPException)
    async def other(request: fastapi.Request, error: HTTPException):
        sentence = (
            f"{request.method} {request.url.path[:200]}: {error.detail}; there are POST /predict, GET /health, GET /."
        )
        return JSONResponse({"detail": sentence}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def broken(request: fastapi.Request, error: Exception):
        return JSONResponse({"detail": "The server failed on this request; its log says why."}, 500)

    return app


def about_option(error: dict) -> str:
    """What is wrong with a part of the address behind `?`, from pydantic's description of it."""
    name = str(error["loc"][1]) if len(error["loc"]) > 1 else "options"
    if error["type"] == "extra_forbidden":
        return f"{name[:80]}: there is no such option; there are {', '.join(Options.model_fields)}."
    return f"{name}: {error['msg']}, got {str(error['input'])[:80]!r}."
