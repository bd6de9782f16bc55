"""Applies the matches of a reading: new, changed, come back under another key, gone; then locks, results, rounds."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from domain.audit import service as audit
from domain.audit.model import Act
from domain.execution.run import Step
from domain.guess.store import Restored, restore_guesses
from domain.ids import MatchId, RoundId, TeamId, TournamentId, new_id
from domain.ingestion import mapping, rules, store
from domain.ingestion.errors import PrerequisiteMissing
from domain.ingestion.model import Reading, References, StoredMatch
from domain.ingestion.snapshot import MatchSnapshot, TournamentSnapshot
from domain.league.store import follow_tournament
from domain.match.model import ResultKind, ResultState
from domain.settlement.result.service import accept_results
from domain.settlement.rules import NewResult
from domain.tournament.model import TournamentStatus
from domain.tournament.store import raise_versions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def apply_matches(connection: "AsyncConnection", step: Step, reading: Reading) -> None:
    # Matches first, then the tournament: the order of locks that settlement keeps too.
    stored = await store.read_matches_for_update(connection, reading.tournament_id)
    if await _is_outdated(connection, reading):
        step.note = "A later reading was applied meanwhile; this one was left out."
        return
    references = await _references(connection, reading, stored)
    now = await store.database_now(connection)
    sorted_out = _Sorted.of(reading.snapshot, references, stored, now, step)
    await store.insert_matches(
        connection, [{**row, "id": key, "tournament_id": reading.tournament_id} for key, row in sorted_out.new.items()]
    )
    await store.update_matches(connection, [{**row, "match_id": key} for key, row in sorted_out.changed.items()])
    await store.insert_references(
        connection, reading.snapshot.provider, "MATCH", sorted_out.named.items(), reading.tournament_id
    )
    gone = [key for key, match in stored.items() if key not in sorted_out.seen and not match.missing]
    await store.mark_missing(connection, gone)
    await _follow_locks(connection, stored, sorted_out.changed, now, reading.request_id)
    await _accept_results(connection, sorted_out, reading.request_id)
    count(step, len(reading.snapshot.matches), len(sorted_out.new), len(sorted_out.changed))
    await _finish_matches(connection, reading, bool(sorted_out.new or sorted_out.changed or gone))


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
    if missing := {match.round_slug for match in snapshot.matches} - rounds.keys():
        raise PrerequisiteMissing(f"Ingest the rounds first: {rules.some(missing)} unknown.")
    if missing := team_keys - teams.keys():
        raise PrerequisiteMissing(f"Ingest the teams first: {rules.some(missing)} unknown.")
    keys = [match.key for match in snapshot.matches]
    known = await store.read_references(connection, snapshot.provider, "MATCH", keys)
    return References(rounds, teams, {key: MatchId(found) for key, found in known.items() if found in stored})


@dataclass(frozen=True, slots=True)
class _Sorted:
    """What became of each item of a reading."""

    new: dict[MatchId, dict[str, Any]]
    changed: dict[MatchId, dict[str, Any]]
    named: dict[str, MatchId]
    """Keys of the provider that are new here, with the matches that they stand for."""
    seen: set[MatchId]
    results: list[tuple[MatchId, MatchSnapshot]]
    """Matches with a result to accept, where anything about them is new."""

    @classmethod
    def of(
        cls,
        snapshot: TournamentSnapshot,
        references: References,
        stored: dict[MatchId, StoredMatch],
        now: datetime,
        step: Step,
    ) -> "_Sorted":
        self = cls({}, {}, {}, set(), [])
        unknown = [match for match in snapshot.matches if match.key not in references.matches]
        known = set(references.matches.values())
        unseen = [match for key, match in stored.items() if key not in known]
        self.named.update(mapping.link(unknown, unseen, references.teams))
        for match in snapshot.matches:
            match_id = references.matches.get(match.key) or self.named.get(match.key)
            self._take(match, stored.get(match_id) if match_id else None, references, now, step)
        return self

    def _take(
        self, match: MatchSnapshot, stored: StoredMatch | None, references: References, now: datetime, step: Step
    ) -> None:
        values = mapping.match_values(match, references, stored, now)
        state = mapping.state_of(match, stored)
        if stored is None:
            match_id = MatchId(new_id())
            self.named[match.key] = match_id
            self.new[match_id] = {**values, "result_state": _before_acceptance(state, None)}
        else:
            match_id = stored.id
            self.seen.add(match_id)
            if mapping.lost_result(match, stored):
                step.reject(f"{match.key}: {mapping.GONE_SCORE}")
                return
            if values == stored.values and not stored.missing and state is stored.result_state:
                return
            self.changed[match_id] = {**values, "result_state": _before_acceptance(state, stored)}
        if state in (ResultState.FINAL, ResultState.VOID):
            self.results.append((match_id, match))


def _before_acceptance(state: ResultState, stored: StoredMatch | None) -> str:
    """FINAL and VOID are set by the acceptance of the result itself, in the same transaction."""
    if state in (ResultState.FINAL, ResultState.VOID):
        return (stored.result_state if stored else ResultState.NONE).value
    return state.value


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


async def _accept_results(connection: "AsyncConnection", found: _Sorted, request_id: str) -> None:
    results = [
        NewResult(
            match_id,
            ResultKind((found.new.get(match_id) or found.changed[match_id])["result_kind"]),
            match.regulation,
            match.after_extra_time,
            match.shoot_out,
        )
        for match_id, match in found.results
    ]
    await accept_results(connection, results, request_id=request_id)


async def _finish_matches(connection: "AsyncConnection", reading: Reading, changed: bool) -> None:
    tournament = await store.read_tournament(connection, reading.tournament_id, for_update=True)
    present = TournamentStatus(tournament["status"])
    now = await store.database_now(connection)
    reached = rules.advance(present, rules.status_of_matches(reading.snapshot.matches, now))
    values: dict[str, Any] = {"matches_at": reading.read_at}
    if reached is not present:
        values["status"] = reached.value
    await store.update_tournament(connection, reading.tournament_id, values)
    moved = await sync_round(connection, reading.tournament_id)
    if changed or moved or "status" in values:
        # Counts of a board (matches, settled, pending) follow its matches.
        await raise_versions(connection, reading.tournament_id, board=True, matches=changed)
    if reached is not present:
        await follow_tournament(connection, reading.tournament_id, reached)


async def sync_round(connection: "AsyncConnection", tournament_id: TournamentId) -> bool:
    """Whether another round is the current one now."""
    tournament = await store.read_tournament(connection, tournament_id, for_update=True)
    found, _ = await store.read_kick_offs(connection, tournament_id)
    current = rules.current_round(found, tournament["current_round_id"], await store.database_now(connection))
    if current is None or current == tournament["current_round_id"]:
        return False
    await store.update_tournament(connection, tournament_id, {"current_round_id": current})
    await store.begin_rounds(connection, tournament_id, current)
    return True
