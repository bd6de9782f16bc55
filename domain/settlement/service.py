"""Use cases of settlement: turn the latest accepted result of a match into points, exactly once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from domain.database import Database
from domain.errors import NotFound
from domain.execution.run import Run, Step
from domain.ids import ExecutionId, MatchId, RoundId, SettlementId, TournamentId, new_id
from domain.match.model import ResultKind
from domain.scoring.rules import bases
from domain.settlement import rules, store
from domain.settlement.model import ScoreVersionKind, Settlement
from domain.settlement.result import store as results
from domain.settlement.rules import AcceptedResult
from domain.settlement.scores import store as scores
from domain.settlement.store import ActiveSettlement, LockedMatch
from domain.tournament.store import tell_versions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Settled:
    """What one call did: a new settlement, or none because there was nothing new to settle."""

    settlement: Settlement | None
    before: Settlement | None
    """What had paid until then; None when nothing had."""
    note: str | None = None


async def settle_match(run: Run, match_id: MatchId) -> None:
    """Settle the latest accepted result of a match; harmless when it is settled or there is none.

    Raises ResultIncomplete when no score basis can be settled.
    """
    async with run.step("Settle", total=1) as step:
        await _settle_in(run, step, match_id)


async def settle_pending(run: Run) -> None:
    """Settle every accepted result that is not, of the target's tournament or of all; each in its own transaction."""
    async with run.database.read() as connection:
        pending = await store.pending_matches(connection, run.execution.target.tournament_id)
    async with run.step("Settle", total=len(pending)) as step:
        for match_id in pending:
            try:
                await _settle_in(run, step, match_id)
            except rules.ResultIncomplete as error:
                step.reject(error.message)


async def read_settlements(database: Database, match_ids: Iterable[MatchId]) -> dict[MatchId, Settlement]:
    """The settlements that pay now, of those matches that are settled."""
    async with database.read() as connection:
        return await store.active_settlements(connection, match_ids)


async def settle(
    connection: "AsyncConnection", match_id: MatchId, execution_id: ExecutionId | None, *, recount: bool = True
) -> Settled:
    """Settle the latest accepted result of a match, in a transaction that holds no lock of the game yet.

    Who settles many matches whose guesses have changed counts members' facts once at the end: `recount` False.
    """
    match = await store.lock_match(connection, match_id)
    if match is None:
        raise NotFound(f"There is no match {match_id}.")
    return await settle_locked(connection, match, execution_id, recount=recount)


async def settle_locked(
    connection: "AsyncConnection", match: LockedMatch, execution_id: ExecutionId | None, *, recount: bool = True
) -> Settled:
    """The same, when the locks are held."""
    active = await store.active_settlement(connection, match.id)
    newer = await results.results_after(connection, match.id, active.settlement.revision if active else 0)
    if newer:
        await store.insert_superseded_keys(connection, newer[:-1], execution_id)
        return await _apply(connection, match, newer, active, execution_id, recount=recount)
    if active is not None:
        await store.count_replay(connection, rules.idempotency_key(match.id, active.status_at))
    return Settled(None, active.settlement if active else None, note="Nothing new to settle.")


async def note_moves(
    connection: "AsyncConnection", tournament_id: TournamentId, moves: Mapping[MatchId, tuple[RoundId, RoundId]]
) -> int | None:
    """Make a version of a tournament's scores when settled matches have moved to other rounds; None when none has.

    Each move is the round that was left and the one that was come to. Sums stay as they are: what a match pays counts
    in its present round. Call it with the match rows locked, and before the tournament's row.
    """
    settled = await store.active_settlements(connection, moves)
    if not settled:
        return None
    version = await store.raise_settled_version(connection, tournament_id)
    digest = rules.moves_digest({match_id: moves[match_id] for match_id in settled})
    await store.insert_version(connection, tournament_id, version, ScoreVersionKind.ROUND_MOVED, digest)
    return version


async def _settle_in(run: Run, step: Step, match_id: MatchId) -> None:
    async with run.begin() as connection:
        settled = await settle(connection, match_id, run.execution.id)
    if settled.settlement is None:
        step.unchanged += 1
    elif settled.before is None:
        step.created += 1
    else:
        step.updated += 1
    if step.total == 1:
        step.note = settled.note


async def _apply(
    connection: "AsyncConnection",
    match: LockedMatch,
    newer: Sequence[AcceptedResult],
    active: ActiveSettlement | None,
    execution_id: ExecutionId | None,
    *,
    recount: bool,
) -> Settled:
    """Settle the last of the results that are newer than the active settlement."""
    result, paid = newer[-1], active.scorelines if active else []
    guesses = await store.count_guesses(connection, match.tournament_id, match.id)
    lines, missing = rules.score(result, bases(match.mode), guesses)
    recounts = rules.must_recount(newer, paid, guesses)
    changes = [] if recounts else rules.deltas(paid, lines)
    await _change_scores(connection, match, changes, rules.rows_changed(changes, guesses))
    version, now = await store.raise_all_versions(connection, match.tournament_id)
    if active is not None:
        await store.supersede(connection, active.settlement.id, version)
    settlement = Settlement(
        id=SettlementId(new_id()),
        tournament_id=match.tournament_id,
        match_id=match.id,
        revision=result.revision,
        version=version,
        effect_digest=rules.effect_digest(match.id, result.revision, lines),
        guesses=0 if result.kind is ResultKind.VOID else sum(guesses.values()),
        members_changed=rules.members_changed(changes, guesses),
        applied_at=now,
    )
    kind = rules.version_kind(newer, is_first=active is None)
    await store.insert_settlement(
        connection, settlement, lines, status_at=result.status_at, kind=kind, execution_id=execution_id
    )
    if recounts and recount:
        settlement = await _recount(connection, settlement)
    await tell_versions(connection, match.tournament_id, board=True, matches=True)
    waiting = f"Boards that count {', '.join(missing)} wait: that part of the score is missing." if missing else None
    return Settled(settlement, active.settlement if active else None, note=waiting)


async def _recount(connection: "AsyncConnection", settlement: Settlement) -> Settlement:
    """Bring members' facts in line with guesses and proofs, whoever was paid for whatever guess before."""
    changed = await scores.recount(connection, settlement.tournament_id)
    await store.set_members_changed(connection, settlement.id, changed)
    return replace(settlement, members_changed=changed)


async def _change_scores(
    connection: "AsyncConnection", match: LockedMatch, changes: Sequence[rules.Delta], expected: int
) -> None:
    """Every guesser has a row on the boards, since joining makes it: anything else would lose points in silence."""
    if not expected:
        return
    written = await scores.add(connection, match.tournament_id, match.id, changes, expected)
    if written != expected:
        raise RuntimeError(f"Settling match {match.id} wrote {written} scores where {expected} change.")
