"""Logs: structlog JSON on stdout for everything that logs, the standard library's loggers too; for people on a terminal."""

import logging
import sys
from typing import Any

import structlog

_QUIET = ("urllib3", "requests", "websockets", "ws4py", "asyncio")
"""Their debug lines hold exec addresses, which hold secrets."""


def _tracebacks() -> structlog.processors.ExceptionRenderer:
    # Never the variables of a frame: they hold passwords, exec secrets and what people type.
    return structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def configure(level: str, style: str) -> None:
    """`style`: json, console, or auto (console where stdout is a terminal)."""
    console = style == "console" or (style == "auto" and sys.stdout.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: list[Any] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [_tracebacks(), structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # pylxd keeps one connection to each path of LXD's socket; that a second one isn't kept costs nothing.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    logging.captureWarnings(True)
