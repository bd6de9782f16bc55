"""Use cases of corrections: commands of admins, which a worker carries out, and the public log."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from domain.audit.rules import reason_faults
from domain.correction import rules, store
from domain.correction.model import Correction, StalePreview
from domain.correction.store import Place
from domain.database import Database
from domain.errors import InvalidInput, NotFound, Refused
from domain.execution.model import Command, ExecutionTrigger, Operation, Target
from domain.execution.service import Accepted, accept
from domain.ids import MatchId, MemberId, TournamentId
from domain.match.model import ResultKind
from domain.match.store import read_matches
from domain.settlement.rules import NewResult

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_STALE = "Scores or results have changed since the dry run, or there was none: repeat it and send its digest."


async def correct_result(
    database: Database, result: NewResult, *, dry_run: bool, expected_digest: str | None, request_id: str
) -> Accepted:
    """Queue the correction of a result by an admin (`result.actor_id`), or a dry run of it.

    Raises:
        Refused: parts of the result or the reason make no sense; all faults together.
        StalePreview: it is no dry run, and no dry run that still stands has the digest.
        NotFound: there is no such match.
        WrongState: another correction of the match is live.
    """
    if faults := [*rules.faults_of(result), *reason_faults(result.reason or "")]:
        raise Refused(faults)
    params = rules.params_of(result, dry_run=dry_run, expected_digest=expected_digest)
    command = Command(Operation.CORRECT_RESULT, Target(match_id=result.match_id), params)
    async with database.begin() as connection:
        await _require_kicked_off(connection, result)
        return await _accept(connection, command, "correctResult", result.actor_id, result.reason, request_id)


async def replay_settlement(
    database: Database,
    tournament_id: TournamentId,
    match_id: MatchId | None,
    *,
    dry_run: bool,
    expected_digest: str | None,
    actor_id: MemberId,
    reason: str,
    request_id: str,
) -> Accepted:
    """Queue the replay of a tournament's settlements, or of one match's, or a dry run of it.

    Raises:
        Refused: the reason is too short or too long.
        StalePreview: it is no dry run, and no dry run that still stands has the digest.
        NotFound: there is no such tournament, or no such match in it.
        WrongState: another replay of the same is live.
    """
    if faults := reason_faults(reason):
        raise Refused(faults)
    params: dict[str, Any] = {"dryRun": dry_run}
    if not dry_run:
        params["expectedDigest"] = expected_digest
    command = Command(Operation.REPLAY_SETTLEMENT, Target(tournament_id=tournament_id, match_id=match_id), params)
    async with database.begin() as connection:
        return await _accept(connection, command, "replaySettlement", actor_id, reason, request_id)


async def page(database: Database, tournament_id: TournamentId, *, first: int, after: Place | None) -> list[Correction]:
    """Up to `first + 1` corrections of a tournament, latest first; one more than asked tells that there are more."""
    async with database.read() as connection:
        return await store.page(connection, tournament_id, first + 1, after)


async def read(database: Database, match_id: MatchId, revision: int) -> Correction | None:
    """One correction; None when that revision of the match is none."""
    async with database.read() as connection:
        return await store.read(connection, match_id, revision)


async def _accept(
    connection: "AsyncConnection",
    command: Command,
    action: str,
    actor_id: MemberId | None,
    reason: str | None,
    request_id: str,
) -> Accepted:
    await _require_dry_run(connection, command)
    return await accept(
        connection,
        command,
        trigger=ExecutionTrigger.ADMIN,
        request_id=request_id,
        actor_id=actor_id,
        reason=reason,
        action=action,
    )


async def _require_dry_run(connection: "AsyncConnection", command: Command) -> None:
    params: Mapping[str, Any] = command.params
    if params["dryRun"]:
        return
    digest = params["expectedDigest"]
    if digest is None or not await store.has_dry_run(connection, command.operation, command.target, digest):
        raise StalePreview(_STALE, field=("expectedDigest",))


async def _require_kicked_off(connection: "AsyncConnection", result: NewResult) -> None:
    found = await read_matches(connection, [result.match_id])
    if not found:
        raise NotFound("There is no such match.", field=("matchId",))
    if result.kind is ResultKind.PLAYED and not found[0].is_locked:
        raise InvalidInput("The match has not kicked off: it can be awarded or void, not played.", field=("kind",))
