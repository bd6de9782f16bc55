"""Requests that are refused before anything is executed, and how errors look in answers."""

import logging
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any

from graphql import GraphQLError

from domain.errors import DomainError, Refused, Unavailable
from schema.shared import ErrorCode

_log = logging.getLogger(__name__)

IsOutage = Callable[[BaseException], bool]
"""Whether an exception says that the database or Valkey is away."""


class Kind(Enum):
    """What was wrong with a refused request: it decides the HTTP status."""

    MALFORMED = 400
    """Not a GraphQL request at all."""
    DOCUMENT = 422
    """A GraphQL request whose document or variables are wrong or too much."""
    UNAUTHENTICATED = 401
    FORBIDDEN = 403
    METHOD = 405
    NOT_ACCEPTABLE = 406
    SLOW = 408
    TOO_LARGE = 413
    MEDIA_TYPE = 415
    UNAVAILABLE = 503


class RequestRefused(Exception):
    """A request that is not executed."""

    def __init__(self, kind: Kind, errors: Sequence[GraphQLError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.kind = kind
        self.errors = errors


def refused(kind: Kind, message: str, code: ErrorCode = ErrorCode.INVALID_INPUT) -> RequestRefused:
    """A refusal with one error."""
    return RequestRefused(kind, [GraphQLError(message, extensions={"code": code.value})])


def too_complex(message: str) -> RequestRefused:
    """A document that asks for too much."""
    return refused(Kind.DOCUMENT, message, ErrorCode.TOO_COMPLEX)


class ErrorWriter:
    """Writes errors for clients: expected ones in full, others masked and logged."""

    def __init__(self, is_outage: IsOutage, most: int) -> None:
        self._is_outage = is_outage
        self._most = most

    def write(self, errors: Iterable[GraphQLError], request_id: str) -> list[dict[str, Any]]:
        """The errors of an answer, the first of them only when there are too many."""
        return [entry for error in list(errors)[: self._most] for entry in self._entries(error, request_id)]

    def write_exception(self, problem: BaseException, request_id: str) -> list[dict[str, Any]]:
        """An exception that ended a stream or a request."""
        return self.write([GraphQLError(str(problem), original_error=_as_exception(problem))], request_id)

    def write_end(self, problem: Exception, request_id: str) -> list[dict[str, Any]]:
        """Why an operation ended, or did not begin."""
        if isinstance(problem, RequestRefused):
            return self.write(problem.errors, request_id)
        return self.write_exception(problem, request_id)

    def _entries(self, error: GraphQLError, request_id: str) -> list[dict[str, Any]]:
        cause = error.original_error
        while isinstance(cause, GraphQLError) and cause.original_error is not None:
            cause = cause.original_error
        if isinstance(cause, Refused):
            return [
                self._entry(error, fault.message, fault.code, request_id, field=fault.field) for fault in cause.faults
            ]
        if isinstance(cause, DomainError):
            return [
                self._entry(
                    error, cause.message, cause.code, request_id, field=cause.field, wait=cause.retry_after_seconds
                )
            ]
        if cause is None or isinstance(cause, GraphQLError):
            code = (error.extensions or {}).get("code", ErrorCode.INVALID_INPUT.value)
            return [self._entry(error, error.message, code, request_id)]
        if self._is_outage(cause):
            _log.warning("outage", extra={"error": repr(cause)})
            message = "A server that this needs is unavailable; try again soon."
            return [self._entry(error, message, Unavailable.code, request_id)]
        _log.error("unexpected error", exc_info=cause, extra={"requestId": request_id, "path": _place(error)})
        message = f"Unexpected error; it is logged under the request id {request_id}."
        return [self._entry(error, message, ErrorCode.INTERNAL.value, request_id)]

    @staticmethod
    def _entry(
        error: GraphQLError,
        message: str,
        code: str,
        request_id: str,
        *,
        field: Sequence[str] | None = None,
        wait: int | None = None,
    ) -> dict[str, Any]:
        entry: dict[str, Any] = {"message": message}
        if error.locations:
            entry["locations"] = [location.formatted for location in error.locations]
        if error.path is not None:
            entry["path"] = error.path
        entry["extensions"] = {"code": code, "requestId": request_id}
        if field is not None:
            entry["extensions"]["field"] = list(field)
        if wait is not None:
            entry["extensions"]["retryAfterSeconds"] = wait
        return entry


def _place(error: GraphQLError) -> str:
    """The path in the answer, without the positions in lists."""
    return ".".join(part for part in error.path or () if isinstance(part, str))


def _as_exception(problem: BaseException) -> Exception:
    return problem if isinstance(problem, Exception) else RuntimeError(repr(problem))
