"""How long each kind of history is kept. `docs/executions.md` shows the same table; a test compares them."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from domain.execution.exports import KEEP


class History(StrEnum):
    """What is removed some day."""

    SCHEDULE_RUNS = "SCHEDULE_RUNS"
    DEAD_LETTERS = "DEAD_LETTERS"
    EXPORTS = "EXPORTS"
    EXECUTIONS = "EXECUTIONS"
    SESSIONS = "SESSIONS"
    OUTBOX = "OUTBOX"


@dataclass(frozen=True, slots=True)
class Retention:
    """A kind of history, and how long it is kept after it came to its end."""

    history: History
    days: int
    label: str
    """What it is, for people."""
    kept: str
    """What of it is kept longer."""

    @property
    def keep(self) -> timedelta:
        return timedelta(days=self.days)


RETENTIONS = (
    Retention(History.SCHEDULE_RUNS, 30, "Runs of schedules", "the latest run of each schedule"),
    Retention(History.DEAD_LETTERS, 90, "Dead letters that were replayed or discarded", "those that wait for somebody"),
    Retention(
        History.EXPORTS,
        KEEP.days,
        "Files that members asked for, with the executions that made them",
        "the executions, without their files, that an audit line, a dead letter or a retry refers to",
    ),
    Retention(
        History.EXECUTIONS,
        30,
        "Executions that are over, with their steps and reports",
        "those that an audit line, a settlement, a dead letter, a run of a schedule or a retry refers to",
    ),
    Retention(History.SESSIONS, 30, "Sessions that have expired or were ended", "none"),
    Retention(History.OUTBOX, 7, "Messages that could not be sent", "none"),
)
"""In the order of removal: what refers to an execution goes before it."""
