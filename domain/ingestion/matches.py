"""Applies the matches of a reading, all or some, in one transaction: rows, locks, results, then the tournament."""

import logging
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from domain.execution.run import Step
from domain.ids import MatchId, RoundId, TeamId
from domain.ingestion import mapping, rules, store
from domain.ingestion.consequences import follow_guesses
from domain.ingestion.finality import store as finality
from domain.ingestion.match import store as match_store
from domain.ingestion.model import Reading, References, StoredMatch
from domain.ingestion.progress import follow_matches
from domain.ingestion.quarantine import store as quarantine
from domain.ingestion.scope import WHOLE, Scope
from domain.ingestion.sorting import Known, Sorted, sort
from domain.settlement.result.service import accept_results
from domain.settlement.rules import NewResult
from domain.settlement.service import note_moves

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_log = logging.getLogger(__name__)
_NAMED = 3


async def apply_matches(connection: "AsyncConnection", step: Step, reading: Reading, scope: Scope = WHOLE) -> None:
    """Apply the matches that the scope takes, unless a later reading was applied meanwhile.

    Raises PrerequisiteMissing for rounds and teams that are unknown here.
    """
    # Matches first, then the tournament: the order of locks that settlement keeps too.
    stored = await match_store.read_matches_for_update(connection, reading.tournament_id)
    if await _is_outdated(connection, reading):
        step.note = "A later reading was applied meanwhile; this one was left out."
        return
    reading = _dated(reading)
    references = await _references(connection, reading, stored)
    now = await store.database_now(connection)
    found = sort(Known(reading, references, stored, now), step, scope)
    await _write(connection, reading, found, is_whole=scope.is_whole)
    await follow_guesses(connection, stored, found.changed, found.swapped, now, reading.request_id)
    await _accept_results(connection, found, reading.request_id)
    await note_moves(connection, reading.tournament_id, found.moved)
    count(step, found.taken, len(found.new), len(found.changed))
    _tell(step, found, stored)
    await follow_matches(
        connection, reading, is_changed=bool(found.new or found.changed or found.gone), is_whole=scope.is_whole
    )


def count(step: Step, total: int, created: int, updated: int) -> None:
    """Tell what became of `total` items; the rest was found equal."""
    step.total = total
    step.created, step.updated = created, updated
    step.unchanged = total - created - updated


def _dated(reading: Reading) -> Reading:
    snapshot = reading.snapshot
    matches = tuple(rules.without_placeholders(snapshot.matches, ZoneInfo(snapshot.time_zone)))
    return replace(reading, snapshot=replace(snapshot, matches=matches))


async def _write(connection: "AsyncConnection", reading: Reading, found: Sorted, *, is_whole: bool) -> None:
    tournament_id, checked_at = reading.tournament_id, reading.read_at
    await match_store.insert_matches(
        connection, [{**row, "id": key, "tournament_id": tournament_id} for key, row in found.new.items()], checked_at
    )
    changed = [{**row, "match_id": key} for key, row in found.changed.items()]
    await match_store.update_matches(connection, changed, checked_at)
    await store.insert_references(connection, reading.snapshot.provider, "MATCH", found.named.items(), tournament_id)
    await match_store.mark_missing(connection, found.gone)
    await finality.keep(connection, found.held)
    await finality.forget(connection, found.released)
    await quarantine.keep(connection, tournament_id, found.set_aside, is_whole=is_whole)


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
    keys = {match.key for match in snapshot.matches} | {item.key for item in snapshot.rejections if item.key}
    known = await store.read_references(connection, snapshot.provider, "MATCH", keys)
    return References(rounds, teams, {key: MatchId(found) for key, found in known.items() if found in stored})


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


def _tell(step: Step, found: Sorted, stored: dict[MatchId, StoredMatch]) -> None:
    """Say in the step what needs a look, beside what was rejected."""
    lines = [step.note] if step.note else []
    lines += [f"Held back from settlement: {key}: {reason}" for key, reason in sorted(found.reasons.items())[:_NAMED]]
    if (more := len(found.reasons) - _NAMED) > 0:
        lines.append(f"Held back from settlement: {more} more.")
    if found.gone:
        lines.append(f"No longer listed, and set aside: {_names(found.gone, stored)}.")
    if linked := [match_id for match_id in found.named.values() if match_id in stored]:
        lines.append(f"Found again under another key: {_names(linked, stored)}.")
    if found.swapped:
        lines.append(f"Home and away swapped: {_names(sorted(found.swapped), stored)}.")
    step.note = "\n".join(lines) or None
    for match_id, status in found.unknown_statuses.items():
        _log.warning("unknown_match_status: match=%s status=%s", match_id, status)


def _names(ids: list[MatchId], stored: dict[MatchId, StoredMatch]) -> str:
    """Up to three matches as they are stored, and how many more."""
    shown = [f"{stored[key].values['home_label']} - {stored[key].values['away_label']}" for key in ids[:_NAMED]]
    more = len(ids) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
