"""Structured logs to standard error. A line names its event; everything else is a field.

JSON lines have the reference's field names: `level`, `msg`, `time`. Nothing is logged per message.
"""

import logging
import sys
from typing import Any, Final, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from gazette_py.errors import ConfigError

LEVELS: Final = ("trace", "debug", "info", "warn", "error", "fatal")
FORMATS: Final = ("text", "json", "color")

_NUMBERS: Final = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}


def get_logger(name: str) -> FilteringBoundLogger:
    """Return the logger of a module."""
    return cast("FilteringBoundLogger", structlog.get_logger(component=name))


def install(level: str, log_format: str) -> None:
    """Set up logging for this process.

    Raises:
        ConfigError: The level or format is unknown.
    """
    if level not in _NUMBERS:
        raise ConfigError("--log.level", f"{level!r} is none of {', '.join(LEVELS)}")
    renderers: dict[str, Any] = {
        "text": structlog.processors.LogfmtRenderer(key_order=["time", "level", "msg"]),
        "json": structlog.processors.JSONRenderer(),
        "color": structlog.dev.ConsoleRenderer(event_key="msg", timestamp_key="time"),
    }
    if log_format not in renderers:
        raise ConfigError("--log.format", f"{log_format!r} is none of {', '.join(FORMATS)}")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _format_exception,
            structlog.processors.EventRenamer("msg"),
            renderers[log_format],
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_NUMBERS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _format_exception(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Put a traceback into one field, whatever the format."""
    return structlog.processors.format_exc_info(logger, method, event)
