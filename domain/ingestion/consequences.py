"""What changed matches mean for guesses and points that are there already, in the transaction of the change."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from domain.audit import service as audit
from domain.audit.model import Act
from domain.guess.amendment.store import restore_guesses, swap_guesses
from domain.ids import MatchId
from domain.ingestion.model import StoredMatch
from domain.settlement.judged.store import keep_judged
from domain.settlement.result.service import resettle

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

EARLIER = "The kick-off was earlier than known: the last save before it counts."
SWAPPED = "The provider has swapped home and away: guesses follow their teams."


async def follow_guesses(
    connection: "AsyncConnection",
    before: Mapping[MatchId, StoredMatch],
    changed: Mapping[MatchId, dict[str, Any]],
    swapped: Collection[MatchId],
    now: datetime,
    request_id: str,
) -> None:
    """Bring guesses in line with their matches, each with its line in the audit log; then settle anew what was settled.

    Call it when the rows of `changed` are written. A member finds in the guess itself which save does not count.
    """
    again = set(swapped)
    for match_id, row in changed.items():
        if _has_passed_unknown(row["lock_at"], before[match_id].lock_at, now):
            await keep_judged(connection, match_id, saved_since=row["lock_at"])
            restored = await restore_guesses(connection, match_id, row["lock_at"])
            if restored.restored or restored.removed:
                again.add(match_id)
                told = {"restored": restored.restored, "removed": restored.removed}
                await _record(connection, "restoreGuesses", match_id, EARLIER, told, request_id)
    for match_id in sorted(swapped):
        await keep_judged(connection, match_id)
        if number := await swap_guesses(connection, match_id, request_id=request_id):
            await _record(connection, "swapGuesses", match_id, SWAPPED, {"swapped": number}, request_id)
    if again:
        await resettle(connection, again, request_id=request_id, turned=swapped)


def _has_passed_unknown(lock_at: datetime | None, before: datetime | None, now: datetime) -> bool:
    """Whether a reading has a lock that had passed already, so that saves may have been taken after it."""
    return lock_at is not None and lock_at <= now and lock_at != before


async def _record(
    connection: "AsyncConnection", action: str, match_id: MatchId, reason: str, after: dict[str, Any], request_id: str
) -> None:
    act = Act(
        action, None, request_id, subject_kind="MATCH", subject_id=match_id, reason=reason, after=after, system=True
    )
    await audit.record(connection, act)
