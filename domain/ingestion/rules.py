"""Pure decisions of ingestion: locks, the current round, a tournament's status, what makes a match differ."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta, tzinfo
from statistics import median_low

from domain.ids import RoundId
from domain.ingestion.snapshot import MatchSnapshot
from domain.match.model import KickOffPrecision, MatchStatus
from domain.tournament.model import TournamentStatus

BEGUN = frozenset({MatchStatus.IN_PLAY, MatchStatus.ENDED})
VOID = frozenset({MatchStatus.CANCELLED, MatchStatus.ABANDONED})
OVER = VOID | {MatchStatus.ENDED}

ROUND_SPREAD = timedelta(days=4)
"""A kick-off further than this from its round's median was moved: it neither opens nor reopens the round."""

MANY_AT_MIDNIGHT = 3
"""So many matches of a round that kick off together at midnight have no time yet."""


@dataclass(frozen=True, slots=True)
class RoundKickOffs:
    """A round with the known kick-offs of its matches."""

    id: RoundId
    position: int
    kick_offs: tuple[datetime, ...]


def lock_of(match: MatchSnapshot, present: datetime | None, now: datetime) -> datetime | None:
    """When guesses close: at kick-off, or at once when play is seen before it.

    A lock that has passed never reopens; it moves where the kick-off turns out to have been even earlier.
    """
    scheduled = match.kick_off if match.kick_off_precision is KickOffPrecision.EXACT else None
    if present is not None and present <= now:
        return min(present, scheduled) if scheduled is not None else present
    if match.status in BEGUN:
        return min(scheduled, now) if scheduled is not None else now
    return scheduled


def is_put_off(match: MatchSnapshot) -> bool:
    """Whether the provider tells that the match is postponed."""
    return match.status is MatchStatus.POSTPONED


def without_placeholders(matches: Sequence[MatchSnapshot], zone: tzinfo) -> list[MatchSnapshot]:
    """The matches with kick-offs that only stand for a day told as such: many of a round at one and the same midnight.

    They would lock hours early, and a lock that has passed never reopens. `zone` is where midnight is.
    """
    together = Counter((match.round_slug, match.kick_off) for match in matches if _is_midnight(match, zone))
    return [
        replace(match, kick_off_precision=KickOffPrecision.DATE)
        if _is_midnight(match, zone) and together[match.round_slug, match.kick_off] >= MANY_AT_MIDNIGHT
        else match
        for match in matches
    ]


def _is_midnight(match: MatchSnapshot, zone: tzinfo) -> bool:
    if match.kick_off is None or match.kick_off_precision is not KickOffPrecision.EXACT or match.status in BEGUN:
        return False
    return match.kick_off.astimezone(zone).time() == time.min


def round_begins(kick_offs: Iterable[datetime]) -> datetime | None:
    """The first kick-off within four days of the round's median one; None while no date is known."""
    known = sorted(kick_offs)
    if not known:
        return None
    middle = median_low(known)
    return next(kick_off for kick_off in known if abs(kick_off - middle) <= ROUND_SPREAD)


def current_round(rounds: Sequence[RoundKickOffs], present: RoundId | None, now: datetime) -> RoundId | None:
    """The round that began last; before any, the first to begin. It never goes back."""
    begins = {
        found.id: (begin, found.position) for found in rounds if (begin := round_begins(found.kick_offs)) is not None
    }
    begun = [key for key, (begin, _) in begins.items() if begin <= now]
    if not begun and present is not None:
        return present
    choice = max(begun, key=begins.__getitem__) if begun else min(begins, key=begins.__getitem__, default=None)
    if choice is None or (present in begins and begins[present] > begins[choice]):
        return present
    return choice


def status_of(statuses: Sequence[MatchStatus], first_kick_off: datetime | None, now: datetime) -> TournamentStatus:
    """UPCOMING until the first kick-off or play, COMPLETED when every match is over, else ACTIVE."""
    if statuses and all(status in OVER for status in statuses):
        return TournamentStatus.COMPLETED
    begun = any(status in BEGUN for status in statuses) or (first_kick_off is not None and first_kick_off <= now)
    return TournamentStatus.ACTIVE if begun else TournamentStatus.UPCOMING


def status_of_matches(matches: Sequence[MatchSnapshot], now: datetime) -> TournamentStatus:
    first = min((match.kick_off for match in matches if match.kick_off is not None), default=None)
    return status_of([match.status for match in matches], first, now)


def some(names: Collection[str]) -> str:
    """Up to three names as the subject of a sentence."""
    shown = ", ".join(f"`{name}`" for name in sorted(names)[:3])
    if len(names) > 3:
        return f"{shown} and more are"
    return f"{shown} is" if len(names) == 1 else f"{shown} are"


def advance(present: TournamentStatus, reached: TournamentStatus) -> TournamentStatus:
    """A status moves forward by itself and never back; CANCELLED is an admin's word and stays."""
    order = (TournamentStatus.UPCOMING, TournamentStatus.ACTIVE, TournamentStatus.COMPLETED)
    if present is TournamentStatus.CANCELLED:
        return present
    return max(present, reached, key=order.index)
