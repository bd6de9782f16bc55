"""Accepts commands as executions, and reads executions. An execution, its job message and its audit are one commit."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from domain.audit import service as audit
from domain.audit.model import Act
from domain.audit.rules import checked_reason
from domain.database import Database
from domain.errors import Fault, NotFound, Unavailable, WrongState
from domain.execution import jobs, rules, store
from domain.execution.model import Command, Execution, ExecutionFilter, ExecutionStep, ExecutionTrigger
from domain.execution.store import Origin
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
    target = await store.complete_target(connection, command.target)
    if target is None:
        raise NotFound("What the command is about does not exist.")
    origin = Origin(trigger, request_id, actor_id, reason, schedule_id)
    accepted = (await _accept(connection, [replace(command, target=target)], origin))[0]
    if trigger is ExecutionTrigger.ADMIN and schedule_id is None:  # else the schedule's command records it
        await audit.record(connection, _act(action, command, accepted, origin))
    return accepted


async def accept_many(connection: "AsyncConnection", commands: Sequence[Command], *, request_id: str) -> list[Accepted]:
    """Queue many commands of the system in a few statements; as `accept` does, in the order of the commands.

    Targets are complete (with their tournament) and exist; no two commands are about the same thing.
    """
    return await _accept(connection, commands, Origin(ExecutionTrigger.SYSTEM, request_id))


async def accept_again(
    connection: "AsyncConnection", old: Execution, *, actor_id: MemberId | None, reason: str, request_id: str
) -> Accepted:
    """Queue the work of an execution that is over once more, as a new one that names it; the caller records the act.

    Raises WrongState while the same operation lives on the same target with other parameters.
    """
    origin = Origin(ExecutionTrigger.ADMIN, request_id, actor_id, reason, retry_of=old.id)
    return (await _accept(connection, [Command(old.operation, old.target, old.params)], origin))[0]


async def run_operation(
    database: Database, command: Command, *, actor_id: MemberId, reason: str, request_id: str
) -> Accepted:
    """The command of an admin.

    Raises InvalidInput for a reason that is too short or too long, NotFound for an unknown target, and WrongState.
    """
    reason = checked_reason(reason)
    async with database.begin() as connection:
        if (fault := await unknown_ruleset(connection, command)) is not None:
            raise NotFound(fault.message, field=fault.field)
        return await accept(
            connection,
            command,
            trigger=ExecutionTrigger.ADMIN,
            request_id=request_id,
            actor_id=actor_id,
            reason=reason,
        )


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


async def _accept(connection: "AsyncConnection", commands: Sequence[Command], origin: Origin) -> list[Accepted]:
    keys = [rules.operation_key(command) for command in commands]
    waiting = dict(zip(keys, commands, strict=True))
    accepted: dict[str, Accepted] = {}
    for _ in range(_TRIES):
        for key, execution in (await store.find_equal(connection, list(waiting), origin.trigger)).items():
            accepted[key] = _equal(waiting.pop(key), execution)
        for execution in await _insert(connection, list(waiting.values()), origin):
            key = rules.operation_key(Command(execution.operation, execution.target, execution.params))
            accepted[key] = Accepted(execution, False)
            del waiting[key]
        if not waiting:
            return [accepted[key] for key in keys]
    raise Unavailable("The same command is being run again and again at this moment; try again.")


async def _insert(connection: "AsyncConnection", commands: list[Command], origin: Origin) -> list[Execution]:
    if not commands:
        return []
    queued = await store.insert_many(connection, commands, origin)
    await jobs.announce(connection, queued)
    return queued


def _equal(command: Command, execution: Execution) -> Accepted:
    if execution.params != command.params:
        raise WrongState(
            f"{execution.operation} of the same target is {execution.state} with other parameters; wait for its end."
        )
    return Accepted(execution, True)


def _act(action: str, command: Command, accepted: Accepted, origin: Origin) -> Act:
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
