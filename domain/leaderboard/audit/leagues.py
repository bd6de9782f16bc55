"""Boards of leagues that processes keep for one another in the projection, against the same ones from the database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from domain.clock import utc_now
from domain.database import Database
from domain.leaderboard.model import BoardKey
from domain.leaderboard.ports import Projection
from domain.leaderboard.service import Boards
from domain.leaderboard.store import fetch_state


@asynccontextmanager
async def boards_of(database: Database) -> AsyncIterator[Boards]:
    """Boards as the database has them."""
    boards = Boards(database, None, utc_now)
    try:
        yield boards
    finally:
        await boards.stop()


async def league_drift(database: Database, projection: Projection, boards: Boards, key: BoardKey) -> str | None:
    """What is wrong with a kept board, or with the members kept beside it; None when readers are given nothing wrong.

    `boards`: those of the database. What is kept of another version than the present one is given to nobody.

    Raises ProjectionUnavailable, and OverflowError for a board that cannot be ranked.
    """
    state, board = await fetch_state(database, key), await boards.open(key)
    if state is None or board is None or key.league_id is None:
        return None
    right = (await board.ranking()).settled
    if (board.head.epoch, board.head.version) != (state.epoch, state.version):
        return None  # it has moved just now
    kept = await projection.league(key, state.epoch, state.version)
    members = await projection.league_members(key.league_id, state.epoch, state.league_version)
    wrong = []
    if kept is not None:
        shown = kept.ranking
        if not (np.array_equal(shown.ids, right.ids) and np.array_equal(shown.packed, right.packed)):
            wrong.append("leaderboard")
    if members is not None and not np.array_equal(members, np.sort(right.ids)):
        wrong.append("members")
    return f"differs in {', '.join(wrong)}" if wrong else None
