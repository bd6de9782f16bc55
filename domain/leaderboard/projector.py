"""The projector: writes boards into the projection whenever their versions move, and heals it when it lost any.

There is one path for a settlement, a correction, a joiner and a rebuild: the whole board, from one snapshot.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from uuid import UUID

from domain.database import Database
from domain.execution.run import Run
from domain.ids import TournamentId
from domain.installation.service import begin_epoch, notice_restore
from domain.leaderboard import store
from domain.leaderboard.facts import read_packed, weigh
from domain.leaderboard.fold import store as fold
from domain.leaderboard.model import BoardKey, BoardState, Part
from domain.leaderboard.ports import BoardTicks, Projection, ProjectionUnavailable
from domain.leaderboard.provisional.overlay import Judged, LiveRanking, add_live
from domain.leaderboard.provisional.service import LockedGuesses
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.score_table import ScoreTable, Stamp
from domain.scoring.model import ScoreBasis

_BUNCH_SECONDS = 0.25
"""So long goals that come while a board is read have it read anew; a lone goal waits for nothing."""

_log = logging.getLogger(__name__)


async def project(
    database: Database,
    projection: Projection,
    tournament_id: TournamentId,
    guesses: LockedGuesses | None = None,
    held: Stamp | None = None,
    has_moved: Callable[[], bool] = lambda: False,
) -> int | None:
    """Write a tournament's board as it is now; the answer is its version, None when there is no such tournament.

    `guesses`, `has_moved`: see `load`. `held`: see `Projection.write`.

    Raises ProjectionUnavailable.
    """
    loaded = await load(database, tournament_id, guesses, has_moved)
    if loaded is None:
        return None
    version, table, ranking = loaded
    await projection.write(tournament_id, table, ranking, held=held)
    return version


async def load(
    database: Database,
    tournament_id: TournamentId,
    guesses: LockedGuesses | None = None,
    has_moved: Callable[[], bool] = lambda: False,
) -> tuple[int, ScoreTable, Ranking] | None:
    """A tournament's board as it is now: its version, and what the projection is to hold.

    `guesses`: those of live matches that are known already, for who calls again and again.
    `has_moved`: whether it has since this was asked last. Then it is read anew before it is ranked and written, for
    goals come in bunches, but not for longer than `_BUNCH_SECONDS`.
    """
    guesses, until = guesses or LockedGuesses(database), monotonic() + _BUNCH_SECONDS
    read = await _read(database, tournament_id, guesses)
    while read is not None and monotonic() < until and has_moved():
        read = await _read(database, tournament_id, guesses)
    if read is None:
        return None
    table, ranking = await asyncio.to_thread(_rank, read)
    return read.state.version, table, ranking


@dataclass(frozen=True, slots=True)
class _Read:
    """A board at one moment."""

    state: BoardState
    part: Part
    copies: Mapping[ScoreBasis, bytes]
    """Settled facts in binary COPY format."""
    judged: Mapping[ScoreBasis, Sequence[Judged]]


async def _read(database: Database, tournament_id: TournamentId, guesses: LockedGuesses) -> _Read | None:
    async with store.snapshot(database) as connection:
        state = await store.read_state(connection, BoardKey(tournament_id=tournament_id))
        if state is None:
            return None
        (part,) = state.parts
        copies = {basis: await fold.copy(connection, fold.packed_facts(tournament_id, basis)) for basis in part.bases}
    judged = {basis: await guesses.judged(tournament_id, part.live, basis, state.read_at) for basis in part.bases}
    return _Read(state, part, copies, judged)


async def rebuild_projection(run: Run, projection: Projection) -> None:
    """Write the boards of the target's tournament, or of all that are not over, whether they have moved or not."""
    target = run.execution.target.tournament_id
    async with run.database.read() as connection:
        tournaments = [target] if target else list(await store.boards_in_play(connection))
    async with run.step("Rebuild boards", total=len(tournaments)) as step:
        for tournament_id in tournaments:
            version = await project(run.database, projection, tournament_id)
            if version is not None:
                step.updated += 1
                await projection.announce(tournament_id, version)


async def run_projector(database: Database, projection: Projection, ticks: BoardTicks, *, poll_seconds: float) -> None:
    """Keep boards projected until cancelled. What no tick told is found within `poll_seconds`."""
    projector = _Projector(database, projection)
    hearing = asyncio.create_task(projector.hear(ticks))
    try:
        # In the caller's own task: Python 3.11 may swallow a cancellation, and a task group passes on the first only.
        await projector.work(poll_seconds)
    finally:
        hearing.cancel()


class _Projector:
    def __init__(self, database: Database, projection: Projection) -> None:
        self._database = database
        self._guesses = LockedGuesses(database)
        self._projection = projection
        self._moved: set[TournamentId] = set()
        self._compare = True
        self._wake = asyncio.Event()

    async def hear(self, ticks: BoardTicks) -> None:
        """Note what has moved; ticks that come while a board is written are one when it is done."""
        async for tournament_id in ticks:
            if tournament_id is None:
                self._compare = True
            else:
                self._moved.add(tournament_id)
            self._wake.set()

    async def work(self, poll_seconds: float) -> None:
        while True:
            try:
                await self._catch_up()
            except ProjectionUnavailable as error:
                _log.warning("The projection waits: %s", error)
            except Exception:  # noqa: BLE001 - the loop is the edge: whatever fails now is tried again at the next poll
                _log.exception("The projection waits.")
            await self._rest(poll_seconds)

    async def _rest(self, poll_seconds: float) -> None:
        """Until something is heard; without a word for that long, everything is compared."""
        try:
            async with asyncio.timeout(poll_seconds):
                await self._wake.wait()
        except TimeoutError:
            self._compare = True
        self._wake.clear()

    async def _catch_up(self) -> None:
        if self._compare:
            self._moved |= await self._behind()
            self._compare = False
        while self._moved:
            tournament_id = self._moved.pop()
            try:
                await self._bring_up_to_date(tournament_id)
            except BaseException:
                self._moved.add(tournament_id)
                raise

    async def _behind(self) -> set[TournamentId]:
        await notice_restore(self._database)
        async with self._database.read() as connection:
            wanted = await store.boards_in_play(connection)
        held = await self._projection.stamps(list(wanted))
        return {tournament_id for tournament_id, state in wanted.items() if _held(held, tournament_id) != state}

    async def _bring_up_to_date(self, tournament_id: TournamentId) -> None:
        """Write a board unless it is there already; say what is there in any case, for whoever asked."""
        stamp = (await self._projection.stamps([tournament_id])).get(tournament_id)
        async with self._database.read() as connection:
            state = await store.read_state(connection, BoardKey(tournament_id=tournament_id))
        if state is None:
            return
        if stamp is not None and stamp.epoch == state.epoch and stamp.board_version > state.version:
            # Versions only rise, and this one was read later: the database is older than what was made of it.
            reason = f"Tournament {tournament_id} is at version {state.version}, and was at {stamp.board_version}."
            await begin_epoch(self._database, present=UUID(state.epoch), reason=reason)
        version: int | None = state.version
        if stamp is None or (stamp.epoch, stamp.board_version) != (state.epoch, state.version):
            heard = partial(self._heard, tournament_id)
            version = await project(self._database, self._projection, tournament_id, self._guesses, stamp, heard)
        if version is not None:
            await self._projection.announce(tournament_id, version)

    def _heard(self, tournament_id: TournamentId) -> bool:
        """Whether a tick has come that is not taken yet; it is now."""
        has_come = tournament_id in self._moved
        self._moved.discard(tournament_id)
        return has_come


def _held(stamps: Mapping[TournamentId, Stamp], tournament_id: TournamentId) -> tuple[str, int] | None:
    stamp = stamps.get(tournament_id)
    return None if stamp is None else (stamp.epoch, stamp.board_version)


def _rank(read: _Read) -> tuple[ScoreTable, Ranking]:
    """All bases are stored for the leagues' sake; the tournament's own board is ranked."""
    state, part = read.state, read.part
    copies = {basis: read_packed(data) for basis, data in read.copies.items()}
    ids, _ = copies[part.basis]
    settled = {basis: facts for basis, (_, facts) in copies.items()}
    live = {basis: add_live(ids, facts, read.judged[basis]) for basis, facts in settled.items()} if part.live else None
    stamp = Stamp(state.epoch, part.settled_version, part.board_version, state.read_at, len(ids), live=len(part.live))
    scores = weigh(settled[part.basis], part.weights)
    if live is None:
        ranking = Ranking.of(ids, scores)
    else:
        ranking = LiveRanking.beside(Ranking.of(ids, scores), ids, weigh(live[part.basis], part.weights))
    return ScoreTable(stamp, ids, settled, live), ranking
