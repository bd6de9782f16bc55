"""What a handler works with: transactions that only the lease's holder may commit, and steps that people follow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from domain.clock import Clock
from domain.database import Database
from domain.execution.effect import Effect
from domain.execution.lease import store as lease
from domain.execution.lease.store import Claim, Progress
from domain.execution.model import Counts, Execution, ExecutionState, ExecutionStep
from domain.execution.rules import sum_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_LINES_IN_NOTE = 20


class LeaseLost(Exception):
    """Another worker has the execution, or may have it: this one must not write any more."""


class CancelRequested(Exception):
    """An admin asked the execution to stop."""


@dataclass(slots=True)
class Step:
    """One stage of a run. Handlers add to the counts as they go; followers see them within a moment."""

    position: int
    name: str
    total: int | None
    started_at: datetime
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    note: str | None = None
    rejected: list[str] = field(default_factory=list)
    state: ExecutionState = ExecutionState.IN_PROGRESS
    finished_at: datetime | None = None

    def reject(self, reason: str) -> None:
        """Count one item that was refused, and say which and why: whole in the report, the first ones in the note."""
        self.failed += 1
        self.rejected.append(reason)

    def as_of_now(self) -> ExecutionStep:
        """The step as it stands."""
        return ExecutionStep(
            position=self.position,
            name=self.name,
            state=self.state,
            counts=Counts(self.total, self.created, self.updated, self.unchanged, self.failed),
            note=self._note(),
            started_at=self.started_at,
            finished_at=self.finished_at,
        )

    def _note(self) -> str | None:
        lines = [self.note] if self.note else []
        lines += self.rejected[:_LINES_IN_NOTE]
        if (more := len(self.rejected) - _LINES_IN_NOTE) > 0:
            lines.append(f"and {more} more, see the report")
        return "\n".join(lines) or None


class Run:
    """One try of an execution, in the hands of the worker that claimed it."""

    def __init__(self, execution: Execution, database: Database, clock: Clock) -> None:
        self.execution = execution
        self.database = database
        self.claim = Claim(execution.id, execution.fence)
        self.details: dict[str, Any] = {}
        """What only this operation has to tell in its report: JSON values by name."""
        self._clock = clock
        self._steps: list[Step] = []
        self._added: list[ExecutionStep] = []
        self._cancel_requested = False

    @asynccontextmanager
    async def begin(self) -> "AsyncIterator[AsyncConnection]":
        """A transaction in which the execution stays ours until the commit. Raises LeaseLost when it is not."""
        async with self.database.begin() as connection:
            held = await lease.hold(connection, self.claim)
            if held is None:
                raise LeaseLost
            self.notice(held)
            yield connection

    @asynccontextmanager
    async def step(self, name: str, total: int | None = None) -> AsyncIterator[Step]:
        """Begin a stage; `total` is how many items are expected. A requested cancel ends the run before it."""
        self.obey()
        step = Step(len(self._steps) + 1, name, total, self._clock())
        self._steps.append(step)
        try:
            yield step
        except CancelRequested:
            self._close(step, ExecutionState.CANCELLED)
            raise
        except Exception:
            self._close(step, ExecutionState.FAILED)
            raise
        self._close(step, ExecutionState.COMPLETED)

    async def write_effect(self, connection: "AsyncConnection", effect: Effect) -> None:
        """Keep what the execution changes in scores, in the transaction of the change. Raises LeaseLost."""
        if not await lease.write_effect(connection, self.claim, effect):
            raise LeaseLost

    def obey(self) -> None:
        """Go on, unless the run is to be cancelled: then raises CancelRequested. For what may stop within a step."""
        if self._cancel_requested:
            raise CancelRequested

    def notice(self, execution: Execution) -> None:
        """Know what the database says by now: a run that is to be cancelled ends before its next step."""
        self._cancel_requested |= execution.cancel_requested_at is not None

    @property
    def is_to_be_cancelled(self) -> bool:
        """Whether an admin has asked for it, as far as this worker has heard."""
        return self._cancel_requested

    def progress(self) -> Progress:
        """How far the run is."""
        steps = (*(step.as_of_now() for step in self._steps), *self._added)
        return Progress(sum_of(list(steps)), steps)

    def add(self, step: ExecutionStep) -> None:
        """Tell of something that was over at once, after all other steps; its counts are its own."""
        self._added.append(step)

    def rejected(self) -> dict[int, list[str]]:
        """All rejected items by position of the step."""
        return {step.position: list(step.rejected) for step in self._steps}

    def _close(self, step: Step, state: ExecutionState) -> None:
        step.state = state
        step.finished_at = self._clock()
