"""Use cases of the proof: compare what was settled with a second way of working it out, and repair what differs."""

import asyncio
from typing import TYPE_CHECKING

from domain.correction import comparison
from domain.correction import store as scores
from domain.correction.proof import rules, store
from domain.correction.proof.model import Difference, TooNarrow, Verification
from domain.database import Database
from domain.errors import NotFound
from domain.ids import ExecutionId, MatchId, TournamentId
from domain.scoring.rules import bases
from domain.settlement import store as settlements
from domain.settlement.model import ScoreVersionKind
from domain.settlement.result import service as results
from domain.settlement.result.store import latest_results
from domain.settlement.scores.store import recount
from domain.settlement.service import settle
from domain.tournament.model import Tournament
from domain.tournament.store import raise_versions, read_tournaments

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def verify_all(database: Database) -> list[Verification]:
    """Every tournament that has settlements, each in a snapshot of its own; it changes nothing and blocks nobody."""
    async with database.read() as connection:
        found = await store.tournaments_with_settlements(connection)
    return [await verify_one(database, tournament_id) for tournament_id in found]


async def verify_one(database: Database, tournament_id: TournamentId) -> Verification:
    """One tournament in a snapshot.

    Raises:
        NotFound: there is no such tournament.
    """
    async with database.snapshot() as connection:
        found = await read_tournaments(connection, [tournament_id])
        if not found:
            raise NotFound("There is no such tournament.")
        return await verify(connection, found[0])


async def verify(
    connection: "AsyncConnection", tournament: Tournament, match_id: MatchId | None = None
) -> Verification:
    """Compare one match or all, and the sums of all members, which are over all matches in either case.

    What is read must not move meanwhile: the connection has a snapshot or the tournament's lock.
    """
    stored = bases(tournament.mode)
    recorded = await store.recorded_proofs(connection, tournament.id, match_id)
    recomputed = await store.recomputed_proofs(connection, recorded, tournament.id, match_id, stored)
    before = await scores.copy_scores(connection, tournament.id, stored)
    after = await store.copy_recomputed_scores(connection, tournament.id, stored)
    differences: list[Difference] = []
    for key in sorted(recorded):
        differences += rules.differences_of_match(recorded[key], recomputed[key])
    members = await asyncio.to_thread(comparison.differences, before, after)
    return Verification(
        tournament_id=tournament.id,
        label=f"{tournament.label} {tournament.season}",
        matches=len(recorded),
        members=await asyncio.to_thread(comparison.count_members, after),
        recorded_digest=await asyncio.to_thread(comparison.scores_digest, before),
        recomputed_digest=await asyncio.to_thread(comparison.scores_digest, after),
        differences=(*differences, *rules.differences_of_members(members)),
    )


async def repair(
    connection: "AsyncConnection", tournament: Tournament, found: Verification, execution_id: ExecutionId
) -> None:
    """Settle anew the matches whose proof differs, count members' facts anew, and prove that all is equal then.

    Under the tournament's lock, in the transaction that has found the differences. Settling is the first way; the
    second one has the last word: when the two do not agree afterwards, nothing is written.

    Raises:
        TooNarrow: only one match was looked at, and another one differs too.
    """
    await store.match_rows(connection, tournament.id, bases(tournament.mode))
    latest = await latest_results(connection, found.wrong_matches)
    await results.store_results(connection, [results.once_more(latest[key]) for key in found.wrong_matches])
    for match_id in found.wrong_matches:
        await settle(connection, match_id, execution_id, recount=False)
    await recount(connection, tournament.id)
    version = await settlements.raise_settled_version(connection, tournament.id)
    await settlements.insert_version(
        connection, tournament.id, version, ScoreVersionKind.REPLAYED, found.recomputed_digest
    )
    await raise_versions(connection, tournament.id, board=True, matches=False)
    again = await verify(connection, tournament)
    if set(again.wrong_matches) - set(found.wrong_matches):
        raise TooNarrow("Other matches differ too, and members' sums are over all: replay the whole tournament.")
    if not again.is_equal:
        raise RuntimeError(f"Tournament {tournament.id} differs after a repair too: {again.differences[:5]}")
