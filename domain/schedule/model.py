"""Schedules: recurring or one-time triggers of an operation, and what became of their slots."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import TypeAlias

from domain.execution.model import Command
from domain.ids import ExecutionId, ScheduleId


class ScheduleStatus(StrEnum):
    ACTIVE = "ACTIVE"
    """Runs. Set on creation, and by whoever resumes it."""
    PAUSED = "PAUSED"
    """Has no slots until it is resumed. Set by an admin, or by the system when its tournament was cancelled."""
    RETIRED = "RETIRED"
    """Over for good. Set by an admin, and by the scheduler after the run of a one-time schedule."""


class ScheduleRunOutcome(StrEnum):
    STARTED = "STARTED"
    SKIPPED_OVERLAP = "SKIPPED_OVERLAP"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Either `cron`, read on the clock of `time_zone`, or `run_at`. An active one has a next slot."""

    id: ScheduleId
    name: str
    command: Command
    cron: str | None
    run_at: datetime | None
    time_zone: str
    status: ScheduleStatus
    next_slot: datetime | None


@dataclass(frozen=True, slots=True)
class ScheduleRun:
    """One slot. `missed_slots` are earlier ones that passed while no scheduler ran; this run stands for them too."""

    schedule_id: ScheduleId
    slot: datetime
    outcome: ScheduleRunOutcome
    missed_slots: int
    execution_id: ExecutionId | None


@dataclass(frozen=True, slots=True)
class Turn:
    """What a scheduler did with one schedule. `moved`: it waits for another slot now, or for none."""

    schedule_id: ScheduleId
    execution_id: ExecutionId | None
    moved: bool


class Kept(Enum):
    """Marks what a change leaves as it is, where None could be meant."""

    KEPT = "KEPT"


KEPT = Kept.KEPT
_Text: TypeAlias = str | Kept | None
_Moment: TypeAlias = datetime | Kept | None
_Status: TypeAlias = ScheduleStatus | Kept | None


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """What somebody asks for: either `cron` or `run_at`."""

    name: str
    command: Command
    cron: str | None = None
    run_at: datetime | None = None
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class ScheduleChange:
    """A change of a schedule; None is a value that was given, and is refused where there must be one."""

    cron: _Text = KEPT
    time_zone: _Text = KEPT
    run_at: _Moment = KEPT
    status: _Status = KEPT
