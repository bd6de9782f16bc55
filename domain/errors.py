"""Refusals that a caller can understand and act on. Anything else that is raised is a fault of ours."""

from dataclasses import dataclass


class DomainError(Exception):
    """An expected refusal. `code` is the contract's `ErrorCode` (in workers `ExecutionErrorCode`), the text for people.

    `retryable` says whether the same attempt may succeed later without anybody changing anything.
    """

    code: str = "INTERNAL"
    retryable: bool = False
    field: tuple[str, ...] | None = None
    retry_after_seconds: int | None = None

    def __init__(self, message: str, *, field: tuple[str, ...] | None = None) -> None:
        super().__init__(message)
        self.field = field

    @property
    def message(self) -> str:
        return str(self)


class Unauthenticated(DomainError):
    code = "UNAUTHENTICATED"


class Forbidden(DomainError):
    code = "FORBIDDEN"


class NotFound(DomainError):
    code = "NOT_FOUND"


class InvalidInput(DomainError):
    code = "INVALID_INPUT"


class RateLimited(DomainError):
    code = "RATE_LIMITED"

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(DomainError):
    code = "UNAVAILABLE"
    retryable = True


class WrongState(DomainError):
    code = "WRONG_STATE"


class LimitReached(DomainError):
    code = "LIMIT_REACHED"


class InvariantBroken(DomainError):
    """What must always hold of stored data does not. People must look; no further try heals it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of an input; all faults of one input are reported together."""

    code: str
    message: str
    field: tuple[str, ...] | None = None


class Refused(DomainError):
    """Several refusals of one request at once."""

    code = "INVALID_INPUT"

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = tuple(faults)
