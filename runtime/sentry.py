"""Owns what is sent to Sentry, when PALPITE_SENTRY_DSN is set: unexpected errors, of API, worker and scheduler alike.

Every such error is logged once, where it is caught, so the log is where they are taken from: each line of level error,
and the first of a row of failures of a loop. Not told are refusals that callers expect, and servers that are away.

Where it happened is sent (types and lines of code, our ids), what it was about is not: no message of an exception, no
value of a variable, no request, nothing of a member. The log has those, under the ids that stand in the tags.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import structlog

from domain.errors import DomainError
from runtime.logging import logged_error
from runtime.outage import is_outage
from runtime.settings import Settings

if TYPE_CHECKING:
    from sentry_sdk.types import Event

_TAGS = ("component", "domain", "operation", "requestId", "executionId", "jobId", "attempt", "code", "loop", "path")
_KEPT = ("event_id", "timestamp", "platform", "level", "message", "exception", "tags", "release", "environment")
_LOOP = "loop_failed"
# An execution that has failed for good is sent whatever the reason.
_ENDINGS = ("execution_failed", "worker_lost")
_QUIET_SECONDS = 60.0
_FLUSH_SECONDS = 1.0


@contextmanager
def reporting(settings: Settings, component: str) -> Iterator[None]:
    """Tell Sentry during the block, from all threads; nothing is loaded or done without a DSN."""
    if settings.sentry_dsn is None:
        yield
        return
    import sentry_sdk  # noqa: PLC0415 -- only where it is used
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration  # noqa: PLC0415

    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        release=f"palpite@{version('palpite')}",
        environment=settings.env,
        # Those that come by themselves slow down GraphQL, miss websockets, or send what is not to be sent.
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[ExcepthookIntegration()],
        before_send=_cleaned,
        include_local_variables=False,
        max_breadcrumbs=0,
        max_request_body_size="never",
        auto_session_tracking=False,
        send_client_reports=False,
    )
    sentry_sdk.get_global_scope().set_tag("component", component)
    handler = _Handler(_tell)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        client = sentry_sdk.get_client()
        client.close(timeout=_FLUSH_SECONDS)
        sentry_sdk.get_global_scope().set_client(None)


Tell = Callable[[str, Mapping[str, str], BaseException | None], None]


class _Handler(logging.Handler):
    """Picks from the log what is to be told: name of the line, tags, and the exception if there is one."""

    def __init__(self, tell: Tell, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._clock = clock
        self._told: dict[tuple[str, type[BaseException]], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(("sentry_sdk", "urllib3")):
            return
        try:
            name, fields, error = _read(record)
            if self._is_told(record, name, fields, error):
                tags = {tag: str(fields[tag]) for tag in _TAGS if fields.get(tag) is not None}
                self._tell(name, tags, error)
        except Exception:  # noqa: BLE001 what watches must not break what is watched
            self.handleError(record)

    def _is_told(
        self, record: logging.LogRecord, name: str, fields: Mapping[str, Any], error: BaseException | None
    ) -> bool:
        if name in _ENDINGS:
            return record.levelno >= logging.ERROR
        if error is not None and (isinstance(error, DomainError) or is_outage(error)):
            return False
        if name == _LOOP:
            return error is not None and self._is_news(str(fields.get("loop")), type(error))
        return record.levelno >= logging.ERROR

    def _is_news(self, loop: str, kind: type[BaseException]) -> bool:
        """A loop begins again within seconds, and may fail in the same way for hours."""
        now = self._clock()
        if now - self._told.get((loop, kind), -_QUIET_SECONDS) < _QUIET_SECONDS:
            return False
        self._told[loop, kind] = now
        return True


def _read(record: logging.LogRecord) -> tuple[str, Mapping[str, Any], BaseException | None]:
    """Lines of ours are dictionaries. Of others only the first line of the template: the rest may hold anything."""
    if isinstance(record.msg, dict):
        return str(record.msg.get("event")), record.msg, logged_error(record.msg.get("exc_info"))
    name = str(record.msg).partition("\n")[0]
    return name, structlog.contextvars.get_contextvars() | record.__dict__, logged_error(record.exc_info)


def _tell(name: str, tags: Mapping[str, str], error: BaseException | None) -> None:
    import sentry_sdk  # noqa: PLC0415 -- loaded by now

    with sentry_sdk.new_scope() as scope:
        scope.set_tags(tags)
        scope.set_tag("event", name)
        if error is None:
            sentry_sdk.capture_message(name, level="error")
        else:
            sentry_sdk.capture_exception(error)


def _cleaned(event: "Event", _: Mapping[str, Any]) -> "Event":
    """The last word on what leaves the process."""
    kept: Event = {key: event[key] for key in _KEPT if key in event}  # type: ignore[literal-required, assignment]
    for error in kept.get("exception", {}).get("values", []):
        error["value"] = "The message is in the log."
        error.pop("mechanism", None)
    return kept
