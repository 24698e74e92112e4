"""`anydepth serve`: a model behind HTTP."""

import argparse
import signal
import socket
import sys
from ipaddress import ip_address

from transformers.utils import logging

from .bundled_checkpoint import BUNDLED_CHECKPOINT
from .calibration import Calibration, find_calibration
from .extras import require
from .loading import load_model
from .prediction import Predictor, model_label
from .serve_batches import Batcher


def run(args: argparse.Namespace) -> int:
    """Serves until SIGTERM or Ctrl-C, after which requests in work are finished. Returns the exit status."""
    for package in ("python_multipart", "fastapi", "uvicorn"):
        require(package, "serve", "Serving")
    import uvicorn

    from .serve_app import create_app
    from .serve_service import Limits, Service

    logging.disable_progress_bar()
    limits = Limits(
        int(args.max_megabytes * 1e6), int(args.max_megapixels * 1e6), args.max_queue, args.timeout, args.workers
    )
    with _listen(args.host, args.port) as listening:
        predictor, calibration = _predictor(args)
        batcher = Batcher(predictor, args.max_batch, args.max_wait_ms / 1000)
        service = Service(batcher, limits, calibration)
        config = uvicorn.Config(
            create_app(service),
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_level="info" if args.log_requests else "warning",
            access_log=args.log_requests,
            server_header=False,
            timeout_graceful_shutdown=int(args.timeout) + 10,
        )
        server = uvicorn.Server(config)
        # uvicorn sends itself the signal again once it has ended: the work is done then, and the status 0
        signal.signal(signal.SIGTERM, lambda *_: None)
        _announce(listening, predictor)
        try:
            server.run([listening])
        finally:
            service.close()
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises ValueError where the address is not this machine's, or the port not to be had."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
        )
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"cannot listen on {host}, port {port}: {reason}; choose another --host or --port") from error


def _predictor(args: argparse.Namespace) -> tuple[Predictor, Calibration | None]:
    name = args.model or BUNDLED_CHECKPOINT
    calibration, _ = find_calibration(name, args.calibration)
    model, processor = load_model(name, args.device, args.dtype, args.trust_remote_code)
    alignment = calibration and calibration.alignment
    predictor = Predictor(model, processor, model_label(name), args.max_batch, args.workers, alignment)
    predictor.set_size(args.size or (calibration and calibration.size))
    return predictor, calibration


def _announce(listening: socket.socket, predictor: Predictor):
    host, port = listening.getsockname()[:2]
    unit = " in metres" if predictor.is_metric else ", up to a scale and a shift"
    place = f"[{host}]" if ":" in host else host
    print(f"Serving {predictor.output_kind}{unit}, of {predictor.name}, on http://{place}:{port}", flush=True)
    if not ip_address(host).is_loopback:
        print("anydepth serve: every machine that reaches this one may use it.", file=sys.stderr, flush=True)
