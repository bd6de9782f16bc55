"""The projector: writes boards into the projection whenever their versions move, and heals it when it lost any.

There is one path for a settlement, a correction, a joiner and a rebuild: the whole board, from one snapshot.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING
from uuid import UUID

from domain.database import Database
from domain.execution.run import Run
from domain.ids import TournamentId
from domain.installation.service import Restores, begin_epoch
from domain.leaderboard import store
from domain.leaderboard.front import read_front
from domain.leaderboard.leagues import kept_boards
from domain.leaderboard.loading import BoardLoader
from domain.leaderboard.model import BoardKey
from domain.leaderboard.ports import BoardTicks, Projection, ProjectionUnavailable
from domain.leaderboard.score_table import Stamp
from domain.league.store import raise_versions_of
from domain.tournament.store import raise_versions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_log = logging.getLogger(__name__)
_HELD_UP_SECONDS = 0.2
"""After which a board is looked at again that another process writes."""
IsOutage = Callable[[BaseException], bool]


async def project(
    database: Database,
    projection: Projection,
    tournament_id: TournamentId,
    loader: BoardLoader | None = None,
    held: Stamp | None = None,
    has_moved: Callable[[], bool] = lambda: False,
) -> int | None:
    """Write a tournament's board as it is now, and tell so: its version, None when there is no such tournament.

    `loader`: of who calls again and again. `held`: see `Projection.write`. `has_moved`: see `BoardLoader.load`.

    Raises ProjectionUnavailable.
    """
    loader = loader or BoardLoader(database)
    loaded = await loader.load(tournament_id, held, has_moved)
    if loaded is None:
        return None
    await projection.write(tournament_id, loaded.table, loaded.ranking, held=held)
    stamp = (await projection.stamps([tournament_id])).get(tournament_id)
    loader.note(tournament_id, stamp)
    front = None
    if stamp is not None and stamp.is_same_state(loaded.table.stamp):
        front = await read_front(database, tournament_id, stamp, loaded.ranking)
    version = loaded.table.stamp.board_version
    await projection.announce(tournament_id, version, front)
    return version


async def rebuild_projection(run: Run, projection: Projection) -> None:
    """Write the boards of the target's tournament, or of all that are not over, whether they have moved or not."""
    target = run.execution.target.tournament_id
    async with run.database.read() as connection:
        tournaments = [target] if target else list(await store.boards_in_play(connection))
    async with run.step("Rebuild boards", total=len(tournaments)) as step:
        for tournament_id in tournaments:
            try:
                version = await rewrite(run.database, projection, tournament_id, run.begin)
            except OverflowError as error:  # a broken ledger
                step.reject(f"Tournament {tournament_id}: {error}")
            else:
                step.updated += version is not None


async def rewrite(
    database: Database,
    projection: Projection,
    tournament_id: TournamentId,
    begin: "Callable[[], AbstractAsyncContextManager[AsyncConnection]] | None" = None,
) -> int | None:
    """Write a board whatever is there, as a new version; the answer is that, None when there is no such tournament.

    What processes made of a wrong board goes by its version, and what they keep for later ones by its digest. Boards
    and members that are kept of its leagues may be wrong too, and members go by the version of their league.

    `begin`: a transaction of whoever must still hold something when it commits.

    Raises ProjectionUnavailable, and OverflowError for a board that cannot be ranked.
    """
    kept = await kept_boards(database, projection, tournament_id)
    async with (begin or database.begin)() as connection:
        await raise_versions(connection, tournament_id, board=True)
        await raise_versions_of(connection, {key.league_id for key in kept if key.league_id is not None})
        # Before the commit, for no projector may write the new version with what is there; and last, for it would
        # write the present one anew if nothing came of this, and nobody would know that it was wrong.
        await projection.forget(tournament_id)
    return await project(database, projection, tournament_id)


async def run_projector(
    database: Database, projection: Projection, ticks: BoardTicks, is_outage: IsOutage, *, poll_seconds: float
) -> None:
    """Keep boards projected until cancelled. What no tick told is found within `poll_seconds`.

    `is_outage`: whether an error only says that a server is away.
    """
    projector = _Projector(database, projection, is_outage)
    hearing = asyncio.create_task(projector.hear(ticks))
    try:
        # In the caller's own task: Python 3.11 may swallow a cancellation, and a task group passes on the first only.
        await projector.work(poll_seconds)
    finally:
        hearing.cancel()


class _Projector:
    def __init__(self, database: Database, projection: Projection, is_outage: IsOutage) -> None:
        self._database = database
        self._restores = Restores(database)
        self._loader = BoardLoader(database)
        self._projection = projection
        self._is_outage = is_outage
        self._moved: dict[TournamentId, None] = {}
        """In the order in which they are taken."""
        self._failed: dict[TournamentId, str] = {}
        """What is tried again at the next comparison, and why."""
        self._held_up: set[TournamentId] = set()
        """What another process writes."""
        self._compare_at = 0.0
        self._wake = asyncio.Event()

    async def hear(self, ticks: BoardTicks) -> None:
        """Note what has moved; ticks that come while a board is written are one when it is done."""
        async for tournament_id in ticks:
            if tournament_id is None:
                self._compare_at = 0.0
            else:
                self._moved[tournament_id] = None
            self._wake.set()

    def _take_later(self, tournament_id: TournamentId) -> None:
        """Another process writes it, and may die or not know of the latest version."""

        def take() -> None:
            self._held_up.discard(tournament_id)
            self._moved[tournament_id] = None
            self._wake.set()

        if tournament_id not in self._held_up:
            self._held_up.add(tournament_id)
            asyncio.get_running_loop().call_later(_HELD_UP_SECONDS, take)

    async def work(self, poll_seconds: float) -> None:
        """Everything is compared so often however much is heard, so a comparison may come between two boards."""
        while True:
            if monotonic() >= self._compare_at:
                self._compare_at = monotonic() + poll_seconds
                await self._compare()
            if self._moved:
                await self._take_one()
            else:
                await self._rest()

    async def _rest(self) -> None:
        """Until something is heard, or everything is to be compared."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._compare_at - monotonic()):
                await self._wake.wait()
        self._wake.clear()

    async def _compare(self) -> None:
        try:
            found = await self._behind() | self._failed.keys()
        except Exception as error:  # noqa: BLE001 - an edge, as below
            _log.warning("The projection waits: %r", error, exc_info=not self._is_known(error))
        else:
            self._moved |= dict.fromkeys(sorted(found, key=self._failed.__contains__))

    async def _take_one(self) -> None:
        tournament_id = next(iter(self._moved))
        del self._moved[tournament_id]
        try:
            async with self._projection.claim(tournament_id) as is_ours:
                if is_ours:
                    await self._bring_up_to_date(tournament_id)
                    self._failed.pop(tournament_id, None)
                else:
                    self._take_later(tournament_id)
        except Exception as error:  # noqa: BLE001 - the loop is the edge: whatever fails now is tried again
            self._put_off(tournament_id, error)

    def _put_off(self, tournament_id: TournamentId, error: Exception) -> None:
        """Others go on. The reason is told once: it may stay for as long as a ledger is broken."""
        reason = repr(error)
        if self._failed.get(tournament_id) != reason:
            words = "The board of tournament %s waits: %s"
            _log.warning(words, tournament_id, reason, exc_info=None if self._is_known(error) else error)
        self._failed[tournament_id] = reason

    def _is_known(self, error: Exception) -> bool:
        """Whether its words say everything: a server is away, or a ledger is broken."""
        return isinstance(error, ProjectionUnavailable | OverflowError) or self._is_outage(error)

    async def _behind(self) -> set[TournamentId]:
        await self._restores.notice()
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
        if stamp is None or (stamp.epoch, stamp.board_version) != (state.epoch, state.version):
            heard = partial(self._heard, tournament_id)
            await project(self._database, self._projection, tournament_id, self._loader, stamp, heard)
        else:
            await self._projection.announce(tournament_id, state.version)

    def _heard(self, tournament_id: TournamentId) -> bool:
        """Whether a tick has come that is not taken yet; it is now."""
        has_come = tournament_id in self._moved
        self._moved.pop(tournament_id, None)
        return has_come


def _held(stamps: Mapping[TournamentId, Stamp], tournament_id: TournamentId) -> tuple[str, int] | None:
    stamp = stamps.get(tournament_id)
    return None if stamp is None else (stamp.epoch, stamp.board_version)
