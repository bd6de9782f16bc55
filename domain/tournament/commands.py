"""What platform admins change of tournaments: what ingestion does not own."""

from dataclasses import replace
from typing import TYPE_CHECKING

from domain.audit import service as audit
from domain.audit.model import Act
from domain.audit.rules import reason_faults
from domain.database import Database
from domain.errors import Fault, NotFound, Refused
from domain.ids import MemberId, TournamentId
from domain.league.link.store import follow_tournament
from domain.match.store import has_locked
from domain.scoring.rules import frozen
from domain.scoring.store import read_rulesets
from domain.tournament import rules, store
from domain.tournament.model import Tournament, TournamentChange

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def update(
    database: Database,
    tournament_id: TournamentId,
    change: TournamentChange,
    *,
    actor_id: MemberId | None,
    reason: str,
    request_id: str,
) -> Tournament:
    """Change a tournament; what stays as it is changes nothing.

    Leagues that play it keep their rulesets; one that begins or ends does so in them too. From another source it is
    read from the next reading on.

    Raises:
        NotFound: there is no such tournament.
        Refused: all that is wrong with the input; RULESET_FROZEN once a match of it has locked.
    """
    reason = reason.strip()
    async with database.begin() as connection:
        found = await store.take_for_update(connection, tournament_id)
        if found is None:
            raise NotFound("There is no such tournament.", field=("tournamentId",))
        changed = rules.changed_tournament(found, change)
        faults = rules.change_faults(change) + reason_faults(reason)
        if faults := [*faults, *await _faults(connection, found, changed)]:
            raise Refused(faults)
        if changed == found:
            return found
        before, after = rules.differences(found, changed)
        act = Act(rules.UPDATE_TOURNAMENT, actor_id, request_id, "TOURNAMENT", tournament_id, reason)
        await audit.record(connection, replace(act, before=before, after=after))
        await store.write_change(connection, changed)
        await store.raise_versions(connection, tournament_id, board=True)
        if changed.status is not found.status:
            await follow_tournament(connection, tournament_id, found.status, changed.status)
    return replace(changed, board_version=changed.board_version + 1)


async def _faults(connection: "AsyncConnection", found: Tournament, changed: Tournament) -> list[Fault]:
    """What the database knows to be wrong with a change."""
    faults = []
    if rules.source_of(changed) != rules.source_of(found) and await store.has_source(
        connection, rules.source_of(changed)
    ):
        faults.append(Fault("INVALID_INPUT", "Another tournament already has this source.", ("source",)))
    if changed.ruleset_id == found.ruleset_id:
        return faults
    if not await read_rulesets(connection, [changed.ruleset_id]):
        return [*faults, Fault("NOT_FOUND", "There is no such ruleset.", ("rulesetId",))]
    if await has_locked(connection, found.id):
        refusal = frozen()
        faults.append(Fault(refusal.code, refusal.message, refusal.field))
    return faults
