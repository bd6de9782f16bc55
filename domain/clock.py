"""Time as the domain sees it: aware, UTC."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The present instant; the database's clock decides locks, this one decides the rest."""

    def __call__(self) -> datetime: ...


def utc_now() -> datetime:
    return datetime.now(UTC)
