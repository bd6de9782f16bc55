"""`palpite executions list|show|cancel|retry`."""

from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from domain.execution import commands
from domain.execution import service as executions
from domain.execution.model import Execution, ExecutionFilter, ExecutionState, ExecutionStep, Operation
from domain.ids import ExecutionId
from runtime.database import PostgresDatabase
from runtime.errors import SetupError
from runtime.operator import Row, ago, parse_id, request_id, say, show_one, show_rows, with_database

_COLUMNS = {
    "id": "ID",
    "operation": "OPERATION",
    "state": "STATE",
    "attempt": "TRY",
    "trigger": "BY",
    "queued": "QUEUED",
    "error": "ERROR",
}


def list_(
    *,
    state: tuple[ExecutionState, ...] = (),
    operation: tuple[Operation, ...] = (),
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 25,
    json: bool = False,
) -> None:
    """List executions, latest first.

    Example: `palpite executions list --state failed --state cancelled --limit 50`

    Parameters
    ----------
    state
        Only these states; may be given several times.
    operation
        Only these operations; may be given several times.
    limit
        How many at most, 1 to 1000.
    json
        Print JSON for scripts.
    """
    wanted = ExecutionFilter(operations=operation, states=state)
    found = with_database(lambda database: executions.page(database, wanted, first=limit, after=None))
    show_rows([_row(one) for one in found[:limit]], _COLUMNS, as_json=json, nothing="No execution.")


def show(execution: str, /, *, json: bool = False) -> None:
    """Show one execution with its steps.

    Example: `palpite executions show 0198c1a2-7b1e-7c3d-8f00-2b6a5d1c9e47 --json`

    Parameters
    ----------
    execution
        Its id, from the list, a log line or the API.
    json
        Print JSON for scripts.
    """
    wanted = ExecutionId(parse_id(execution, "Execution"))
    found, steps = with_database(lambda database: _read(database, wanted))
    rows = [_step(step) for step in steps]
    show_one({**_details(found), **({"steps": rows} if json else {})}, as_json=json)
    if rows and not json:
        columns = {"position": "STEP", "name": "NAME", "state": "STATE", "counts": "COUNTS", "note": "NOTE"}
        show_rows(rows, columns, as_json=False, nothing="")


def cancel(execution: str, /, *, reason: str) -> None:
    """Cancel an execution: at once while it is queued, after its present step while it runs.

    Example: `palpite executions cancel 0198c1a2-7b1e-7c3d-8f00-2b6a5d1c9e47 --reason "stuck since ten"`

    Parameters
    ----------
    execution
        Its id, from the list, a log line or the API.
    reason
        Why, for the audit log; 3 to 500 characters.
    """
    wanted = ExecutionId(parse_id(execution, "Execution"))
    found = with_database(
        lambda database: commands.cancel(database, wanted, actor_id=None, reason=reason, request_id=request_id()),
        named=f"execution {wanted}",
    )
    if found.state is ExecutionState.CANCELLED:
        say(f"{found.operation} {found.id} is cancelled.")
    else:
        say(f"{found.operation} {found.id} stops after its present step.")


def retry(execution: str, /, *, reason: str) -> None:
    """Run the work of a failed or cancelled execution again, as a new execution.

    Example: `palpite executions retry 0198c1a2-7b1e-7c3d-8f00-2b6a5d1c9e47 --reason "the provider is back"`

    Parameters
    ----------
    execution
        Its id, from the list, a log line or the API.
    reason
        Why, for the audit log; 3 to 500 characters.
    """
    wanted = ExecutionId(parse_id(execution, "Execution"))
    accepted = with_database(
        lambda database: commands.retry(database, wanted, actor_id=None, reason=reason, request_id=request_id()),
        named=f"execution {wanted}",
    )
    state = "was live already" if accepted.already_live else "is queued"
    say(f"{accepted.execution.operation} {accepted.execution.id} {state}.")


async def _read(database: PostgresDatabase, execution_id: ExecutionId) -> tuple[Execution, list[ExecutionStep]]:
    found = (await executions.read_executions(database, [execution_id])).get(execution_id)
    if found is None:
        raise SetupError(f"There is no execution {execution_id}.")
    return found, (await executions.read_steps(database, [execution_id]))[execution_id]


def _row(execution: Execution) -> Row:
    """In the words of the API; `queued` is for the table."""
    return {**_details(execution), "queued": ago(execution.queued_at)}


def _details(execution: Execution) -> dict[str, Any]:
    return {
        "id": execution.id,
        "operation": execution.operation,
        "state": execution.state,
        "attempt": f"{execution.attempt}/{execution.max_attempts}",
        "trigger": execution.trigger,
        "reason": execution.reason,
        "requestId": execution.request_id,
        "tournamentId": execution.target.tournament_id,
        "roundId": execution.target.round_id,
        "matchId": execution.target.match_id,
        "params": execution.params,
        "queuedAt": execution.queued_at,
        "notBefore": execution.not_before,
        "startedAt": execution.started_at,
        "finishedAt": execution.finished_at,
        "cancelRequestedAt": execution.cancel_requested_at,
        "counts": execution.counts,
        "error": None if execution.error_code is None else f"{execution.error_code}: {execution.error_message}",
        "retryOf": execution.retry_of,
        "report": execution.report_key,
    }


def _step(step: ExecutionStep) -> Row:
    return {
        "position": step.position,
        "name": step.name,
        "state": step.state,
        "counts": step.counts,
        "note": step.note,
        "startedAt": step.started_at,
        "finishedAt": step.finished_at,
    }
