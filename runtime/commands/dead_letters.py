"""`palpite dead-letters list|show|replay|discard`."""

from typing import Any

from domain.execution.dead_letter import service as dead_letters
from domain.execution.dead_letter.model import DeadLetter
from domain.ids import DeadLetterId
from runtime.database import PostgresDatabase
from runtime.errors import SetupError
from runtime.operator import ago, parse_id, request_id, say, show_one, show_rows, with_database

_MOST = 1000
_COLUMNS = {
    "id": "ID",
    "operation": "OPERATION",
    "attempts": "ATTEMPTS",
    "died": "DIED",
    "error": "ERROR",
    "resolution": "RESOLVED",
}


def list_(*, all_: bool = False, json: bool = False) -> None:
    """List open dead letters, latest first.

    Example: `palpite dead-letters list --all --json`

    Parameters
    ----------
    all_
        Also those that were replayed or discarded.
    json
        Print JSON for scripts.
    """
    found = with_database(lambda database: dead_letters.page(database, include_resolved=all_, first=_MOST, after=None))
    show_rows([_row(one) for one in found[:_MOST]], _COLUMNS, as_json=json, nothing="No open dead letter.")


def show(dead_letter: str, /, *, json: bool = False) -> None:
    """Show one dead letter with its message and stack trace.

    Example: `palpite dead-letters show 0198c1a2-7b1e-7c3d-8f00-2b6a5d1c9e47`

    Parameters
    ----------
    dead_letter
        Its id, from the list, a log line or the API.
    json
        Print JSON for scripts.
    """
    wanted = DeadLetterId(parse_id(dead_letter, "DeadLetter"))
    show_one(_row(with_database(lambda database: _read(database, wanted))), as_json=json)


def replay(dead_letter: str, /, *, reason: str) -> None:
    """Run the work of a dead letter again, as a new execution.

    Example: `palpite dead-letters replay 0198c1a2-7b1e-7c3d-8f00-2b6a5d1c9e47 --reason "provider is back"`

    Parameters
    ----------
    dead_letter
        Its id, from the list, a log line or the API.
    reason
        Why, for the audit log; 3 to 500 characters.
    """
    wanted = DeadLetterId(parse_id(dead_letter, "DeadLetter"))
    _, execution = with_database(
        lambda database: dead_letters.replay(database, wanted, actor_id=None, reason=reason, request_id=request_id()),
        named=f"dead letter {wanted}",
    )
    say(f"{execution.operation} {execution.id} is queued.")


def discard(dead_letter: str, /, *, reason: str) -> None:
    """Close a dead letter without running it again.

    Example: `palpite dead-letters discard 0198c1a2-7b1e-7c3d-8f00-2b6a5d1c9e47 --reason "superseded"`

    Parameters
    ----------
    dead_letter
        Its id, from the list, a log line or the API.
    reason
        Why, for the audit log; 3 to 500 characters.
    """
    wanted = DeadLetterId(parse_id(dead_letter, "DeadLetter"))
    found = with_database(
        lambda database: dead_letters.discard(database, wanted, actor_id=None, reason=reason, request_id=request_id()),
        named=f"dead letter {wanted}",
    )
    say(f"The dead letter of {found.operation} {found.execution_id} is discarded.")


async def _read(database: PostgresDatabase, wanted: DeadLetterId) -> DeadLetter:
    found = (await dead_letters.read(database, [wanted])).get(wanted)
    if found is None:
        raise SetupError(f"There is no dead letter {wanted}.")
    return found


def _row(letter: DeadLetter) -> dict[str, Any]:
    """In the words of the API; `died` is for the table."""
    return {
        "id": letter.id,
        "operation": letter.operation,
        "executionId": letter.execution_id,
        "attempts": letter.attempts,
        "error": f"{letter.failure.code}: {letter.failure.message}",
        "trace": letter.trace,
        "message": letter.message,
        "died": ago(letter.died_at),
        "diedAt": letter.died_at,
        "resolution": letter.resolution,
        "resolvedAt": letter.resolved_at,
        "reason": letter.reason,
    }
