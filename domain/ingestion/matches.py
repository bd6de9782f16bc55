"""Applies the matches of a reading, all or some, in one transaction: rows, locks, results, then the tournament."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from domain.audit import service as audit
from domain.audit.model import Act
from domain.execution.run import Step
from domain.guess.store import Restored, restore_guesses
from domain.ids import MatchId, RoundId, TeamId
from domain.ingestion import mapping, store
from domain.ingestion.model import Reading, References, StoredMatch
from domain.ingestion.progress import follow_matches
from domain.ingestion.scope import WHOLE, Scope
from domain.ingestion.sorting import Sorted, sort
from domain.settlement.result.service import accept_results
from domain.settlement.rules import NewResult

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def apply_matches(connection: "AsyncConnection", step: Step, reading: Reading, scope: Scope = WHOLE) -> None:
    """Apply the matches that the scope takes, unless a later reading was applied meanwhile.

    Raises PrerequisiteMissing for rounds and teams that are unknown here.
    """
    # Matches first, then the tournament: the order of locks that settlement keeps too.
    stored = await store.read_matches_for_update(connection, reading.tournament_id)
    if await _is_outdated(connection, reading):
        step.note = "A later reading was applied meanwhile; this one was left out."
        return
    references = await _references(connection, reading, stored)
    now = await store.database_now(connection)
    found = sort(reading, references, stored, now, step, scope)
    tournament_id, checked_at = reading.tournament_id, reading.read_at
    await store.insert_matches(
        connection, [{**row, "id": key, "tournament_id": tournament_id} for key, row in found.new.items()], checked_at
    )
    changed = [{**row, "match_id": key} for key, row in found.changed.items()]
    await store.update_matches(connection, changed, checked_at)
    await store.insert_references(connection, reading.snapshot.provider, "MATCH", found.named.items(), tournament_id)
    await store.mark_missing(connection, found.gone)
    await _follow_locks(connection, stored, found.changed, now, reading.request_id)
    await _accept_results(connection, found, reading.request_id)
    count(step, found.taken, len(found.new), len(found.changed))
    await follow_matches(
        connection, reading, is_changed=bool(found.new or found.changed or found.gone), is_whole=scope.is_whole
    )


def count(step: Step, total: int, created: int, updated: int) -> None:
    """Tell what became of `total` items; the rest was found equal."""
    step.total = total
    step.created, step.updated = created, updated
    step.unchanged = total - created - updated


async def _is_outdated(connection: "AsyncConnection", reading: Reading) -> bool:
    applied: datetime | None = (await store.read_tournament(connection, reading.tournament_id))["matches_at"]
    return applied is not None and applied > reading.read_at


async def _references(
    connection: "AsyncConnection", reading: Reading, stored: dict[MatchId, StoredMatch]
) -> References:
    snapshot = reading.snapshot
    rounds = {
        slug: RoundId(row["id"]) for slug, row in (await store.read_rounds(connection, reading.tournament_id)).items()
    }
    team_keys = {key for match in snapshot.matches for key in (match.home_team_key, match.away_team_key) if key}
    teams = {
        key: TeamId(entity)
        for key, entity in (await store.read_references(connection, snapshot.provider, "TEAM", team_keys)).items()
    }
    keys = [match.key for match in snapshot.matches]
    known = await store.read_references(connection, snapshot.provider, "MATCH", keys)
    return References(rounds, teams, {key: MatchId(found) for key, found in known.items() if found in stored})


async def _follow_locks(
    connection: "AsyncConnection",
    stored: dict[MatchId, StoredMatch],
    changed: dict[MatchId, dict[str, Any]],
    now: datetime,
    request_id: str,
) -> None:
    """Where a kick-off turned out to be earlier than the saves that we took: the last guess before the lock counts."""
    for match_id, row in changed.items():
        lock_at, before = row["lock_at"], stored[match_id].lock_at
        if lock_at is not None and lock_at <= now and lock_at != before:
            restored = await restore_guesses(connection, match_id, lock_at)
            await _audit_restored(connection, match_id, restored, request_id)


async def _audit_restored(
    connection: "AsyncConnection", match_id: MatchId, restored: Restored, request_id: str
) -> None:
    if not (restored.restored or restored.removed):
        return
    act = Act(
        "restoreGuesses",
        None,
        request_id,
        subject_kind="MATCH",
        subject_id=match_id,
        reason="The kick-off was earlier than known: the last save before it counts.",
        after={"restored": restored.restored, "removed": restored.removed},
        system=True,
    )
    await audit.record(connection, act)


async def _accept_results(connection: "AsyncConnection", found: Sorted, request_id: str) -> None:
    results = [
        NewResult(
            match_id,
            mapping.kind_of(match),
            match.regulation,
            match.after_extra_time,
            match.shoot_out,
        )
        for match_id, match in found.results
    ]
    await accept_results(connection, results, request_id=request_id)
