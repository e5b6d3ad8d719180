"""Logging: one line an event, JSON or for people."""

from __future__ import annotations

import logging
import sys

import structlog

from kandinsky_server.settings import Settings


def configure(settings: Settings) -> None:
    """Sends structlog, the standard library's loggers and warnings through one handler on standard error."""
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if console:
        # structlog's own choice prints every local variable: slow, long, and none of a log's business.
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.stdlib.ExtraAdder(),
    ]
    shared.append(_spell_out if console else structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("kandinsky", "kandinsky_server", "kandinsky_backends"):
        logging.getLogger(name).setLevel(settings.log_level.upper())
    logging.captureWarnings(True)
    _quiet_libraries()
    _keep_metadata_out()


def _spell_out(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escapes control characters in fields, prompts among them: a terminal would do what they say."""
    for name, value in event.items():
        if name != "event" and isinstance(value, str) and not value.isprintable():
            event[name] = ascii(value)
    return event


def _quiet_libraries() -> None:
    """Keeps progress bars and advice to developers out of a server's log."""
    import diffusers.utils.logging
    import transformers.utils.logging

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
        library.set_verbosity_error()


def _keep_metadata_out() -> None:
    """Ends what libraries say of metadata that they cannot read: they quote it, tokens included."""
    logging.getLogger("grpc._cython.cygrpc").addFilter(
        lambda record: not str(record.msg).startswith("Invalid encoding")
    )
    logging.getLogger("opentelemetry.trace.span").setLevel(logging.ERROR)
