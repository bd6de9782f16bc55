"""Executions that have failed, with their dead letters."""

from typing import TYPE_CHECKING, Any

from domain.execution.dead_letter import service as dead_letters
from domain.execution.dead_letter.model import DeadLetter
from domain.execution.lease import service as leases
from domain.execution.lease.store import Claim, Progress
from domain.execution.model import Counts, ExecutionErrorCode, ExecutionState, Failure, Operation, Target
from domain.ids import ExecutionId, new_id
from tests.support.executions import queue
from tests.support.football import make_tournament

if TYPE_CHECKING:
    from domain.database import Database
    from runtime.database import PostgresDatabase

NOTHING = Progress(Counts(), ())
FAILURE = Failure(ExecutionErrorCode.PROVIDER_NOT_FOUND, "no such season")
TRACE = "domain.ingestion.errors.ProviderNotFound\n  domain/ingestion/service.py:1 ingest_matches"


async def fail(database: "PostgresDatabase", **command: Any) -> DeadLetter:
    """Queue a command and fail it in its first try; its letter."""
    accepted = await queue(database, **command)
    execution = await leases.claim(database, accepted.execution.id, owner="test", lease_seconds=60, job_id=new_id())
    assert execution is not None
    claim = Claim(execution.id, execution.fence)
    await leases.finish(database, claim, ExecutionState.FAILED, NOTHING, failure=FAILURE, report_key=None, trace=TRACE)
    return await letter_of(database, execution.id)


async def fail_many(database: "PostgresDatabase", count: int) -> list[DeadLetter]:
    """As many, each about a match of its own, in the order of their failures."""
    made = await make_tournament(database, matches=count)
    targets = [Target(made.id, None, match) for match in made.matches]
    return [await fail(database, operation=Operation.SETTLE_MATCH, target=target) for target in targets]


async def all_letters(database: "Database") -> list[DeadLetter]:
    """Up to a hundred, latest first."""
    return await dead_letters.page(database, include_resolved=True, first=100, after=None)


async def open_letters(database: "Database") -> list[DeadLetter]:
    """Those of them that nobody has resolved."""
    return await dead_letters.page(database, include_resolved=False, first=100, after=None)


async def letter_of(database: "Database", execution_id: ExecutionId) -> DeadLetter:
    """The dead letter of an execution, which has one."""
    (letter,) = [one for one in await all_letters(database) if one.execution_id == execution_id]
    return letter
