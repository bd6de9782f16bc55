"""SQL of executions that everybody may run: accept, find, read, send again. A worker's is in `lease/store.py`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Select, func, or_, select, true, update

from domain.execution import effect, rules
from domain.execution.model import (
    LIVE,
    Command,
    Counts,
    Execution,
    ExecutionErrorCode,
    ExecutionFilter,
    ExecutionState,
    ExecutionStep,
    ExecutionTrigger,
    Operation,
    Target,
)
from domain.execution.tables import execution_steps, executions
from domain.ids import ExecutionId, MemberId, ScheduleId, TournamentId, new_id
from domain.match.tables import matches
from domain.tables import among, any_of, constant, insert_or_nothing
from domain.tournament.tables import rounds, tournaments

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

_INTERNAL = {"operation_key", "lease_owner", "lease_until", "enqueued_at", "job_id"}
COLUMNS = tuple(column for column in executions.c if column.name not in _INTERNAL)
# While versions change, an old sweeper leaves what it does not know to a newer one.
IS_KNOWN = executions.c.operation.in_([constant(operation) for operation in Operation])


IS_LIVE = executions.c.state.in_([constant(state) for state in LIVE])

# Built once, for each command runs them: building takes longer than running.
_NOW = dict.fromkeys(("not_before", "enqueued_at", "queued_at"), func.statement_timestamp())
_INSERT = insert_or_nothing(executions).values(_NOW).returning(*COLUMNS)
_MATCHES = select(matches.c.id, matches.c.tournament_id).where(any_of(matches.c.id, "wanted"))
_ROUNDS = select(rounds.c.id, rounds.c.tournament_id).where(any_of(rounds.c.id, "wanted"))
_TOURNAMENTS = select(tournaments.c.id, tournaments.c.id.label("tournament_id")).where(
    any_of(tournaments.c.id, "wanted")
)
_WAIT_BRIEFLY = select(func.set_config("lock_timeout", "200ms", True))
_IS_QUEUED = executions.c.state == constant(ExecutionState.QUEUED)
_LIVE_OF_KEYS = (
    select(executions.c.operation_key, *COLUMNS)
    .where(any_of(executions.c.operation_key, "keys"), IS_LIVE)
    .order_by(executions.c.operation_key, executions.c.queued_at.desc())
)
_EQUAL = _LIVE_OF_KEYS.where(or_(_IS_QUEUED, executions.c.trigger != constant(ExecutionTrigger.SYSTEM)))
# Claimed between our look and our commit, it might not see the change that we are about to commit.
_EQUAL_OF_SYSTEM = _LIVE_OF_KEYS.where(_IS_QUEUED, executions.c.fence == 0).with_for_update(read=True)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who or what started an execution, and why."""

    trigger: ExecutionTrigger
    request_id: str
    actor_id: MemberId | None = None
    reason: str | None = None
    schedule_id: ScheduleId | None = None
    retry_of: ExecutionId | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A command, and where it comes from."""

    command: Command
    origin: Origin


async def insert_many(connection: "AsyncConnection", asked: Sequence[Asked]) -> list[Execution]:
    """Queue those commands that no live execution is about; the answer has no order."""
    rows = [_new_row(one.command, one.origin) for one in asked]
    return [to_execution(row) for row in await connection.execute(_INSERT, rows)]


async def wait_briefly(connection: "AsyncConnection") -> None:
    """From here on, this transaction waits 0.2 s for another one to end, and then fails."""
    await connection.execute(_WAIT_BRIEFLY)


async def find_equal(
    connection: "AsyncConnection", keys: Sequence[str], trigger: ExecutionTrigger
) -> dict[str, Execution]:
    """The live executions by operation key to which a command may be equal; they are not claimed before our commit."""
    statement = _EQUAL_OF_SYSTEM if trigger is ExecutionTrigger.SYSTEM else _EQUAL
    return {row.operation_key: to_execution(row) for row in await connection.execute(statement, {"keys": list(keys)})}


async def complete_targets(connection: "AsyncConnection", targets: Sequence[Target]) -> list[Target | None]:
    """Each target with its tournament filled in; None when something that it names does not exist."""
    found: dict[UUID, TournamentId] = {}
    for statement, kind in ((_MATCHES, "match_id"), (_ROUNDS, "round_id"), (_TOURNAMENTS, "tournament_id")):
        named = [getattr(target, kind) for target in targets]
        wanted = [one for one, target in zip(named, targets, strict=True) if one and one == rules.entity_of(target)]
        if wanted:
            rows = await connection.execute(statement, {"wanted": wanted})
            found |= {row.id: row.tournament_id for row in rows}
    return [_completed(target, found) for target in targets]


def _completed(target: Target, found: dict[UUID, TournamentId]) -> Target | None:
    wanted = rules.entity_of(target)
    if wanted is None:
        return target
    tournament_id = found.get(wanted)
    if tournament_id is None or target.tournament_id not in {None, tournament_id}:
        return None
    return Target(tournament_id, target.round_id, target.match_id)


async def read(connection: "AsyncConnection", ids: Iterable[ExecutionId]) -> list[Execution]:
    return await _all(connection, select(*COLUMNS).where(among(executions.c.id, ids)))


async def take_for_update(connection: "AsyncConnection", execution_id: ExecutionId) -> Execution | None:
    """Read an execution and keep it as it is until this transaction ends; None when there is none.

    It waits for whoever changes the state, not for transactions that write on behalf of a run.
    """
    statement = select(*COLUMNS).where(executions.c.id == execution_id).with_for_update(key_share=True)
    row = (await connection.execute(statement)).first()
    return None if row is None else to_execution(row)


async def write_cancel(connection: "AsyncConnection", execution: Execution) -> Execution:
    """Cancel an execution that was taken for update: at once when it is queued, else as soon as its worker obeys."""
    now = func.clock_timestamp()
    values: dict[str, Any] = {"version": executions.c.version + 1, "cancel_requested_at": now}
    if execution.state is ExecutionState.QUEUED:
        values |= {"state": ExecutionState.CANCELLED, "finished_at": now}
    statement = update(executions).where(executions.c.id == execution.id).values(values).returning(*COLUMNS)
    return to_execution((await connection.execute(statement)).one())


async def live(connection: "AsyncConnection", limit: int) -> list[Execution]:
    """Queued and running ones, newest first."""
    statement = select(*COLUMNS).where(IS_LIVE)
    return await _all(connection, statement.order_by(executions.c.queued_at.desc(), executions.c.id).limit(limit))


async def ended_within(connection: "AsyncConnection", seconds: float, limit: int) -> list[Execution]:
    """Those that ended within the last `seconds`, latest first."""
    since = func.statement_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    statement = select(*COLUMNS).where(executions.c.finished_at > since)
    return await _all(connection, statement.order_by(executions.c.finished_at.desc()).limit(limit))


async def page(
    connection: "AsyncConnection", wanted: ExecutionFilter, limit: int, after: tuple[datetime, ExecutionId] | None
) -> list[Execution]:
    """Newest first, then by id, starting behind `after`."""
    statement = select(*COLUMNS).where(*_conditions(wanted))
    if after is not None:
        queued_at, last = after
        statement = statement.where(
            executions.c.queued_at <= queued_at,
            or_(executions.c.queued_at < queued_at, executions.c.id > last),
        )
    return await _all(connection, statement.order_by(executions.c.queued_at.desc(), executions.c.id).limit(limit))


async def read_steps(
    connection: "AsyncConnection", ids: Iterable[ExecutionId]
) -> list[tuple[ExecutionId, ExecutionStep]]:
    """The steps of executions, in order."""
    statement = (
        select(execution_steps)
        .where(among(execution_steps.c.execution_id, ids))
        .order_by(execution_steps.c.execution_id, execution_steps.c.position)
    )
    return [(ExecutionId(row.execution_id), _to_step(row)) for row in await connection.execute(statement)]


def to_execution(row: Any) -> Execution:
    return Execution(
        id=row.id,
        version=row.version,
        operation=Operation(row.operation),
        target=Target(row.tournament_id, row.round_id, row.match_id),
        params=row.params,
        state=ExecutionState(row.state),
        dry_run=row.dry_run,
        trigger=ExecutionTrigger(row.trigger),
        schedule_id=row.schedule_id,
        actor_id=row.actor_id,
        reason=row.reason,
        request_id=row.request_id,
        retry_of=row.retry_of,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        not_before=row.not_before,
        fence=row.fence,
        queued_at=row.queued_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_requested_at=row.cancel_requested_at,
        error_code=ExecutionErrorCode(row.error_code) if row.error_code else None,
        error_message=row.error_message,
        counts=_counts(row),
        report_key=row.report_key,
        effect=None if row.effect is None else effect.from_json(row.effect),
        losses=row.losses,
    )


def _new_row(command: Command, origin: Origin) -> dict[str, Any]:
    return {
        "id": new_id(),
        "operation": command.operation,
        "tournament_id": command.target.tournament_id,
        "round_id": command.target.round_id,
        "match_id": command.target.match_id,
        "params": command.params,
        "operation_key": rules.operation_key(command),
        "dry_run": rules.is_dry_run(command),
        "state": ExecutionState.QUEUED,
        "trigger": origin.trigger,
        "schedule_id": origin.schedule_id,
        "actor_id": origin.actor_id,
        "reason": origin.reason,
        "request_id": origin.request_id,
        "retry_of": origin.retry_of,
        "max_attempts": rules.POLICIES[command.operation].attempts,
    }


def _conditions(wanted: ExecutionFilter) -> "list[ColumnElement[bool]]":
    columns = executions.c
    return [
        columns.operation.in_(wanted.operations) if wanted.operations else true(),
        columns.state.in_(wanted.states) if wanted.states else true(),
        columns.tournament_id == wanted.tournament_id if wanted.tournament_id else true(),
        columns.schedule_id == wanted.schedule_id if wanted.schedule_id else true(),
        columns.queued_at >= wanted.queued_since if wanted.queued_since else true(),
        columns.queued_at < wanted.queued_before if wanted.queued_before else true(),
    ]


async def _all(connection: "AsyncConnection", statement: "Select[Any]") -> list[Execution]:
    return [to_execution(row) for row in await connection.execute(statement)]


def _to_step(row: Any) -> ExecutionStep:
    return ExecutionStep(
        position=row.position,
        name=row.name,
        state=ExecutionState(row.state),
        counts=_counts(row),
        note=row.note,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def _counts(row: Any) -> Counts:
    return Counts(row.total, row.created, row.updated, row.unchanged, row.failed)


async def take_forgotten(connection: "AsyncConnection", *, after_seconds: float, limit: int) -> list[Execution]:
    """Executions that are due and that nobody took up, to be sent once more.

    The wait doubles each time up to a minute, so that a long queue is not filled with copies.
    """
    waited = func.extract("epoch", executions.c.enqueued_at - executions.c.not_before)
    wait = func.least(func.greatest(waited, after_seconds), max(after_seconds, 60.0))
    due_at = executions.c.enqueued_at + func.make_interval(0, 0, 0, 0, 0, 0, wait)
    return await _send_again(connection, due_at <= func.clock_timestamp(), limit)


async def take_sent_before(connection: "AsyncConnection", instant: datetime, *, limit: int) -> list[Execution]:
    """Executions that are due and were sent before `instant`, to be sent once more."""
    return await _send_again(connection, executions.c.enqueued_at < instant, limit)


async def _send_again(connection: "AsyncConnection", when: "ColumnElement[bool]", limit: int) -> list[Execution]:
    due = (
        select(executions.c.id)
        .where(
            executions.c.state == ExecutionState.QUEUED,
            executions.c.not_before <= func.clock_timestamp(),
            IS_KNOWN,
            when,
        )
        .order_by(executions.c.not_before)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(executions)
        .where(executions.c.id.in_(due.scalar_subquery()))
        .values(enqueued_at=func.clock_timestamp())
        .returning(*COLUMNS)
    )
    return [to_execution(row) for row in await connection.execute(statement)]
