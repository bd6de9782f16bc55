"""SQL of saved guesses whose match turns out to be another: locked earlier, or with its sides the other way round."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Text, and_, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from domain.guess.tables import guess_revisions, guesses
from domain.ids import MatchId
from domain.match.tables import matches

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of guesses that had been saved after a lock that turned out to be earlier."""

    restored: int
    """Set back to the last save before the lock."""
    removed: int
    """Without a save before the lock: missed."""


async def restore_guesses(connection: "AsyncConnection", match_id: MatchId, lock_at: datetime) -> Restored:
    """Let the last save before `lock_at` count, when a kick-off turns out to have been earlier than was known.

    The revisions stay, so that the member sees what did not count. Call it with the match row locked, before or after
    its `lock_at` is set; a match that is settled already has to be settled again.
    """
    late = and_(*_in_match(guesses, match_id), guesses.c.saved_at >= lock_at)
    in_time = (
        select(guess_revisions)
        .where(*_in_match(guess_revisions, match_id), guess_revisions.c.saved_at < lock_at)
        .distinct(guess_revisions.c.member_id)
        .order_by(guess_revisions.c.member_id, guess_revisions.c.revision.desc())
        .subquery("in_time")
    )
    values = {name: in_time.c[name] for name in ("home", "away", "revision", "saved_at")}
    restored = update(guesses).where(late, guesses.c.member_id == in_time.c.member_id).values(values)
    restored_count = (await connection.execute(restored)).rowcount
    removed_count = (await connection.execute(delete(guesses).where(late))).rowcount
    return Restored(restored_count, removed_count)


async def swap_guesses(connection: "AsyncConnection", match_id: MatchId, *, request_id: str = "system") -> int:
    """Swap the sides of all guesses when the provider swaps those of the match; how many guesses that were.

    Revisions never change, so each save is recorded once more, swapped, with the instant of its own: what counts at an
    earlier lock is still found as the highest revision saved before it.
    """
    await connection.execute(_record_swapped(match_id, request_id))
    same_save = and_(
        guess_revisions.c.tournament_id == guesses.c.tournament_id,
        guess_revisions.c.match_id == guesses.c.match_id,
        guess_revisions.c.member_id == guesses.c.member_id,
        guess_revisions.c.saved_at == guesses.c.saved_at,
    )
    latest = select(func.max(guess_revisions.c.revision)).where(same_save).scalar_subquery()
    values = {"home": guesses.c.away, "away": guesses.c.home, "revision": latest}
    swapped = update(guesses).where(*_in_match(guesses, match_id)).values(values)
    return (await connection.execute(swapped)).rowcount


def _record_swapped(match_id: MatchId, request_id: str) -> Any:
    """The present form of each save (the last recorded at its instant), swapped, numbered on in the order of saving."""
    saves = (
        select(guess_revisions)
        .where(*_in_match(guess_revisions, match_id))
        .distinct(guess_revisions.c.member_id, guess_revisions.c.saved_at)
        .order_by(guess_revisions.c.member_id, guess_revisions.c.saved_at, guess_revisions.c.revision.desc())
        .subquery("saves")
    )
    highest = func.max(saves.c.revision).over(partition_by=saves.c.member_id)
    number = func.row_number().over(partition_by=saves.c.member_id, order_by=saves.c.revision)
    new = select(
        saves.c.tournament_id,
        saves.c.match_id,
        saves.c.member_id,
        highest + number,
        saves.c.away,
        saves.c.home,
        saves.c.saved_at,
        literal(request_id, Text),
    )
    names = ["tournament_id", "match_id", "member_id", "revision", "home", "away", "saved_at", "request_id"]
    return insert(guess_revisions).from_select(names, new)


def _in_match(table: Any, match_id: MatchId) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Rows of a match; naming its tournament spares the other partitions."""
    tournament_id = select(matches.c.tournament_id).where(matches.c.id == match_id).scalar_subquery()
    return table.c.tournament_id == tournament_id, table.c.match_id == match_id
