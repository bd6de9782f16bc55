"""Owns what a log line is: one JSON object (or one coloured line for a person) with the keys that trace a request.

Everything goes through it, also what uvicorn, taskiq, alembic and other libraries log by the standard library.
"""

import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog

from runtime.outage import is_outage
from runtime.settings import Settings

# The keys of every line, in this order; a key that does not apply is left out.
CONTEXT_KEYS = ("component", "domain", "operation", "requestId", "executionId", "jobId")
_SECRET_WORDS = (
    "password",
    "token",
    "secret",
    "authorization",
    "cookie",
    "email",
    "dsn",
    "database_url",
    "redis_url",
    "broker_url",
)
# What the database and its driver add to an error: rows and arguments as they are, e-mails and guesses among them.
_VALUES = re.compile(
    r"(DETAIL:|query argument \$\d+:|input syntax for type [\w ]+:).+?(?=\n\n|\n\[SQL|\nHINT|\Z)", re.DOTALL
)
# Their info lines repeat what ours say, or name every statement and message.
_QUIET = ("sqlalchemy", "alembic.runtime.plugins", "taskiq", "asyncio", "uvicorn.access", "uvicorn.error")


def configure_logging(settings: Settings, component: str, stream: TextIO | None = None) -> None:
    """Send every log line of this process to one stream (standard output); `component` names the process."""
    target = sys.stdout if stream is None else stream
    as_json = settings.logs_as_json(to_terminal=target.isatty())
    shared = _shared_processors()
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=_final_processors(as_json=as_json, colours=target.isatty())
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "taskiq"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(component=component)


@contextmanager
def log_context(request_id: str) -> Iterator[None]:
    """Put a request's id on every line that is logged inside the block, in this task and those it starts."""
    # Not `bound_contextvars`, which goes through everything that is bound: every request pays for this.
    before = structlog.contextvars.bind_contextvars(requestId=request_id)
    try:
        yield
    finally:
        structlog.contextvars.reset_contextvars(**before)


def name_task(request_id: str) -> None:
    """Put a request's id on every line of this task from now on, and of those it starts."""
    structlog.contextvars.bind_contextvars(requestId=request_id)


def hide_secrets(_: object, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Never let a value out whose name says that it is private."""
    for key in event:
        if any(word in key.lower() for word in _SECRET_WORDS):
            event[key] = "***"
    return event


def hide_values(_: object, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Of an error say what happened, and not to which values."""
    for key in ("exception", "error", "reason"):
        if isinstance(found := event.get(key), str):
            event[key] = _VALUES.sub(r"\1 ***", found)
    return event


def logged_error(found: Any) -> BaseException | None:
    """The error of a line, in each form in which `exc_info` may be given."""
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    return error if isinstance(error, BaseException) else None


def _shared_processors() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        hide_secrets,
    ]


def _final_processors(*, as_json: bool, colours: bool) -> list[structlog.typing.Processor]:
    clean = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    without_values: list[structlog.typing.Processor] = [structlog.processors.format_exc_info, hide_values]
    if not as_json:
        # The renderer's own tracebacks show local variables, passwords among them.
        plain = structlog.dev.ConsoleRenderer(
            colors=colours, timestamp_key="at", exception_formatter=structlog.dev.plain_traceback
        )
        return [clean, _say_outage_in_one_line, *without_values, _drop_component, plain]
    return [
        clean,
        *without_values,
        structlog.processors.EventRenamer("message"),
        _in_order,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]


def _in_order(_: object, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    first = ("at", "level", "message", *CONTEXT_KEYS)
    return {key: event[key] for key in first if key in event} | {
        key: value for key, value in event.items() if key not in first
    }


def _say_outage_in_one_line(_: object, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Every loop tells of a server that is away, and where in our code it was missed helps nobody."""
    error = logged_error(event.get("exc_info"))
    if error is not None and is_outage(error):
        del event["exc_info"]
        event["error"] = "".join(traceback.format_exception_only(error)).splitlines()[0]
    return event


def _drop_component(_: object, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """For a person the supervisor prints it before the line."""
    event.pop("component", None)
    return event
