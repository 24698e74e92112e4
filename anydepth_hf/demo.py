"""`anydepth demo`: the page, served from this machine; or written as a folder for the Hub."""

import argparse
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from transformers.utils import logging

from .extras import require


def run(args: argparse.Namespace) -> int:
    """Serves the page until Ctrl-C, or writes the folder."""
    if args.export_space is not None:
        from .demo_space import write_space

        print(write_space(args.export_space, args.model))
        return 0
    with tempfile.TemporaryDirectory(prefix="anydepth-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # before Gradio is imported; nothing of visitors outlives the server
        page, options = make_page(
            args.model,
            device=args.device,
            dtype=args.dtype,
            trust_remote_code=args.trust_remote_code,
            any_name=args.host in ("127.0.0.1", "localhost", "::1") and not args.share,
            max_megapixels=args.max_megapixels,
            max_upload_megabytes=args.max_upload_megabytes,
            max_video_seconds=args.max_video_seconds,
            at_once=args.at_once,
            max_waiting=args.max_waiting,
            max_visitors=args.max_visitors,
            keep_minutes=args.keep_minutes,
        )
        _serve(page, args, options)
    return 0


def make_page(
    models: Sequence[str] | None = None,
    *,
    device: str | None = None,
    dtype: str = "float32",
    trust_remote_code: bool = False,
    any_name: bool = False,
    max_megapixels: float = 50,
    max_upload_megabytes: int = 100,
    max_video_seconds: float = 60,
    at_once: int = 1,
    max_waiting: int = 32,
    max_visitors: int = 16,
    keep_minutes: float = 60,
) -> tuple[Any, dict[str, Any]]:
    """
    Makes the page, and what its `launch` needs: `page.launch(**options)`.

    Args:
        models, device, dtype, trust_remote_code, any_name: see `demo_models.Models`.
        max_megapixels, max_upload_megabytes, max_video_seconds: limits of what is uploaded.
        at_once: predictions at a time; others wait, at most `max_waiting`.
        max_visitors: whose results are kept in memory.
        keep_minutes: after which uploads and results are deleted.

    Raises:
        ImportError: Gradio is missing (extra `demo`).
        ValueError: the first model cannot be loaded.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # no telemetry: Gradio asks when it is imported
    require("gradio", "demo", "The demo")
    from .demo_actions import Actions
    from .demo_models import Models
    from .demo_page import CSS, build_page, theme

    logging.disable_progress_bar()
    chosen = Models(models, device, dtype, trust_remote_code, any_name)
    chosen.predictor(chosen.names[0])  # a mistake shows now, and not to the first visitor
    actions = Actions(chosen, round(max_megapixels * 1e6), at_once, max_video_seconds)
    page = build_page(chosen, actions, 60 * keep_minutes)
    page.queue(max_size=max_waiting, default_concurrency_limit=4)
    options = {
        "theme": theme(),
        "css": CSS,
        "footer_links": [],
        "max_file_size": f"{max_upload_megabytes}mb",
        "run_history": False,  # Gradio would keep what visitors did in their browsers
        "ssr_mode": False,
        "enable_monitoring": False,
        "state_session_capacity": max_visitors,
        "show_error": True,
    }
    return page, options


def _serve(page: Any, args: argparse.Namespace, options: dict[str, Any]) -> None:
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # else uploads would stay on the disk
    try:
        page.launch(
            server_name=args.host,
            server_port=_free_port(args.host) if args.port == 0 else args.port,
            share=args.share,
            inbrowser=args.open,
            prevent_thread_lock=True,
            quiet=True,
            **options,
        )
    except OSError as error:
        port = "port from 7860 to 7959" if args.port is None else f"port {args.port}"
        raise OSError(f"No {port} of {args.host} can be had: give another --port or --host.") from error
    try:
        print(f"The demo is at {page.share_url or page.local_url} (Ctrl-C ends it)", flush=True)
        while page.is_running:
            time.sleep(0.5)
    except KeyboardInterrupt:
        pass
    finally:
        page.close(verbose=False)


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as server:
        server.bind((host, 0))
        return server.getsockname()[1]
