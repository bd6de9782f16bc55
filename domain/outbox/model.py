"""What the outbox carries: jobs for workers, and ticks that tell which versions moved."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID


class Topic(StrEnum):
    JOB = "JOB"
    """A job message for the queue (the seven fields of the specification)."""
    TICK = "TICK"
    """Something that streams follow has a new version; published, never queued."""
    MEMBERS = "MEMBERS"
    """Members or nick names of a tournament changed: raises its board version, at most once a second."""


class TickKind(StrEnum):
    BOARD = "board"
    """Of a tournament: scores, live scores, rounds or members changed."""
    LEAGUE = "league"
    """Of a league: membership or links changed."""
    MATCHES = "matches"
    """Of a tournament: matches changed."""
    EXECUTION = "execution"
    """Of an execution."""


@dataclass(frozen=True, slots=True)
class Tick:
    kind: TickKind
    id: UUID


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    id: int
    topic: Topic
    message: dict[str, Any]
    attempts: int
