"""Schedules: recurring or one-time triggers of an operation."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.execution.model import Command
from domain.ids import ScheduleId


class ScheduleStatus(StrEnum):
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    RETIRED = "RETIRED"


@dataclass(frozen=True, slots=True)
class Schedule:
    id: ScheduleId
    name: str
    command: Command
    cron: str | None
    run_at: datetime | None
    time_zone: str
    status: ScheduleStatus
    next_slot: datetime | None
