"""Accepts commands as executions, and reads executions. An execution, its job message and its audit are one commit."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from domain.audit import service as audit
from domain.audit.model import Act
from domain.database import Database
from domain.errors import Fault, NotFound, Unavailable, WrongState
from domain.execution import jobs, rules, store
from domain.execution.model import Command, Execution, ExecutionFilter, ExecutionStep, ExecutionTrigger
from domain.execution.store import Asked, Origin
from domain.ids import ExecutionId, MemberId, RulesetId, ScheduleId
from domain.scoring.store import read_rulesets

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

# A live execution may end between our failed insert and our look at it; then we insert again.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command's execution; `already_live`: an equal command was live, and this is its execution."""

    execution: Execution
    already_live: bool


async def accept(
    connection: "AsyncConnection",
    command: Command,
    *,
    trigger: ExecutionTrigger,
    request_id: str,
    actor_id: MemberId | None = None,
    reason: str | None = None,
    schedule_id: ScheduleId | None = None,
    action: str = "runOperation",
) -> Accepted:
    """Queue a command in the caller's transaction, or find the equal one that is live; `action` is for the audit log.

    Raises WrongState while the same operation lives on the same target with other parameters.
    """
    (target,) = await store.complete_targets(connection, [command.target])
    if target is None:
        raise NotFound("The target of the operation does not exist.")
    origin = Origin(trigger, request_id, actor_id, reason, schedule_id)
    asked = Asked(replace(command, target=target), origin)
    accepted = await _accept_one(connection, asked)
    if trigger is ExecutionTrigger.ADMIN and schedule_id is None:  # else the schedule's command records it
        await audit.record(connection, _act(action, asked, accepted))
    return accepted


async def accept_many(connection: "AsyncConnection", commands: Sequence[Command], *, request_id: str) -> list[Accepted]:
    """Queue many commands of the system in a few statements; as `accept` does, in the order of the commands.

    Targets are complete (with their tournament) and exist; no two commands are about the same thing.
    """
    origin = Origin(ExecutionTrigger.SYSTEM, request_id)
    outcomes = await _accept(connection, [Asked(command, origin) for command in commands]) if commands else []
    return [_raised(outcome) for outcome in outcomes]


async def accept_together(connection: "AsyncConnection", asked: Sequence[Asked]) -> list[Accepted | None]:
    """Queue what admins ask for, and record each in the audit log, in as few statements as for one.

    None stands for what cannot be accepted, and for what is about the same as one before it.
    """
    keys: list[str | None] = []
    wanted: dict[str, Asked] = {}
    targets = await store.complete_targets(connection, [one.command.target for one in asked])
    for one, target in zip(asked, targets, strict=True):
        key = None
        if target is not None and await unknown_ruleset(connection, one.command) is None:
            complete = replace(one, command=replace(one.command, target=target))
            key = rules.operation_key(complete.command)
            key = key if wanted.setdefault(key, complete) is complete else None
        keys.append(key)
    outcomes = dict(zip(wanted, await _accept(connection, list(wanted.values())), strict=True)) if wanted else {}
    accepted = {key: found for key, found in outcomes.items() if isinstance(found, Accepted)}
    await audit.record_many(connection, [_act("runOperation", wanted[key], found) for key, found in accepted.items()])
    return [None if key is None else accepted.get(key) for key in keys]


async def accept_again(
    connection: "AsyncConnection", old: Execution, *, actor_id: MemberId | None, reason: str, request_id: str
) -> Accepted:
    """Queue the work of an execution that is over once more, as a new one that names it; the caller records the act.

    Raises WrongState while the same operation lives on the same target with other parameters.
    """
    origin = Origin(ExecutionTrigger.ADMIN, request_id, actor_id, reason, retry_of=old.id)
    return await _accept_one(connection, Asked(Command(old.operation, old.target, old.params), origin))


async def unknown_ruleset(connection: "AsyncConnection", command: Command) -> Fault | None:
    """That a command names a ruleset that there is not."""
    wanted = command.params.get("rulesetId")
    if wanted is None or await read_rulesets(connection, [RulesetId(UUID(wanted))]):
        return None
    return Fault("NOT_FOUND", "There is no such ruleset.", ("operation", "ingestTournament", "rulesetId"))


async def read_executions(database: Database, ids: Collection[ExecutionId]) -> dict[ExecutionId, Execution]:
    """The executions by id; unknown ids are left out."""
    async with database.read() as connection:
        return {execution.id: execution for execution in await store.read(connection, ids)}


async def read_steps(database: Database, ids: Iterable[ExecutionId]) -> dict[ExecutionId, list[ExecutionStep]]:
    """The steps of each execution, in order."""
    steps: dict[ExecutionId, list[ExecutionStep]] = {execution_id: [] for execution_id in ids}
    async with database.read() as connection:
        for execution_id, step in await store.read_steps(connection, steps):
            steps[execution_id].append(step)
    return steps


async def live_executions(database: Database, limit: int = 100) -> list[Execution]:
    """Queued and running executions, newest first."""
    async with database.read() as connection:
        return await store.live(connection, limit)


async def ended_within(database: Database, seconds: float, limit: int = 100) -> list[Execution]:
    """Executions that ended within the last `seconds`, latest first."""
    async with database.read() as connection:
        return await store.ended_within(connection, seconds, limit)


async def page(
    database: Database, wanted: ExecutionFilter, *, first: int, after: tuple[datetime, UUID] | None
) -> list[Execution]:
    """Up to `first + 1` executions, latest queued first, then by id; one more than asked tells that there are more."""
    place = None if after is None else (after[0], ExecutionId(after[1]))
    async with database.read() as connection:
        return await store.page(connection, wanted, first + 1, place)


async def _accept_one(connection: "AsyncConnection", asked: Asked) -> Accepted:
    return _raised((await _accept(connection, [asked]))[0])


def _raised(outcome: Accepted | WrongState) -> Accepted:
    if isinstance(outcome, WrongState):
        raise outcome
    return outcome


async def _accept(connection: "AsyncConnection", asked: Sequence[Asked]) -> list[Accepted | WrongState]:
    """All of them from one kind of trigger, and no two about the same thing."""
    keys = [rules.operation_key(one.command) for one in asked]
    waiting = dict(zip(keys, asked, strict=True))
    outcomes: dict[str, Accepted | WrongState] = {}
    for _ in range(_TRIES):
        for key, execution in (await store.find_equal(connection, list(waiting), asked[0].origin.trigger)).items():
            outcomes[key] = _equal(waiting.pop(key).command, execution)
        for execution in await _insert(connection, list(waiting.values())):
            key = rules.operation_key(Command(execution.operation, execution.target, execution.params))
            outcomes[key] = Accepted(execution, False)
            del waiting[key]
        if not waiting:
            return [outcomes[key] for key in keys]
    raise Unavailable("Too many equal commands came at once; try again.")


async def _insert(connection: "AsyncConnection", asked: list[Asked]) -> list[Execution]:
    if not asked:
        return []
    queued = await store.insert_many(connection, asked)
    await jobs.announce(connection, queued)
    return queued


def _equal(command: Command, execution: Execution) -> Accepted | WrongState:
    if execution.params != command.params:
        return WrongState(
            f"{execution.operation} of the same target is {execution.state} with other parameters; "
            "cancel it, or wait until it ends."
        )
    return Accepted(execution, True)


def _act(action: str, asked: Asked, accepted: Accepted) -> Act:
    command, origin = asked.command, asked.origin
    return Act(
        action=action,
        actor_id=origin.actor_id,
        request_id=origin.request_id,
        subject_kind="EXECUTION",
        subject_id=accepted.execution.id,
        reason=origin.reason,
        execution_id=accepted.execution.id,
        after={"operation": command.operation, "params": command.params, "alreadyLive": accepted.already_live},
    )
