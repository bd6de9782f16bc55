"""Which stored match an item is that comes under a key which is new here. Pure.

Providers delete matches and list them again under another key, move them to another round, draw them and swap their
sides. Whatever fits more than one is reported and left alone: a match is neither doubled nor taken for another one.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from domain.ids import MatchId
from domain.ingestion.model import References, StoredMatch
from domain.ingestion.rules import ROUND_SPREAD, VOID
from domain.ingestion.snapshot import MatchSnapshot
from domain.match.model import KickOffPrecision, MatchStatus, ResultKind, ResultState

REPLAYED_AFTER = timedelta(hours=12)
"""A void match whose kick-off moves this much later is played anew, as a match of its own."""

T = TypeVar("T")


@dataclass(slots=True)
class Links:
    """What became of the items with new keys; those that do not appear are new matches."""

    found: dict[str, MatchId] = field(default_factory=dict)
    ambiguous: set[str] = field(default_factory=set)
    """Keys of items that fit more than one stored match, or fit one together with others."""
    doubtful: set[MatchId] = field(default_factory=set)
    """The stored matches that they fit."""


class _Way(NamedTuple):
    """One way to recognise a match: what an item and a stored match must agree in; None never agrees."""

    of_item: Callable[[MatchSnapshot], Hashable]
    of_stored: Callable[[StoredMatch], Hashable]
    tells: bool = True
    """Whether several that agree are a doubt to be told; else they are different matches."""
    is_near: bool = False
    """Whether the kick-offs must lie close together."""


def link(
    unknown: Iterable[MatchSnapshot],
    unseen: Iterable[StoredMatch],
    put_off: Iterable[StoredMatch],
    references: References,
    now: datetime,
) -> Links:
    """Find stored matches for items with new keys.

    `unseen` are those whose own keys are not listed any more. `put_off` are listed as postponed under them: the
    provider may have listed the new date as another match, in the same round.
    """
    links = Links()
    items = {match.key: match for match in unknown}
    stored = {match.id: match for match in unseen}
    same_round, *others = _ways(references)
    _pair(links, items, stored | {match.id: match for match in put_off}, same_round, now)
    for way in others:
        left = {key: match for key, match in items.items() if key not in links.found.keys() | links.ambiguous}
        taken = links.doubtful.union(links.found.values())
        _pair(links, left, {key: match for key, match in stored.items() if key not in taken}, way, now)
    return links


def begins_anew(match: MatchSnapshot, stored: StoredMatch, now: datetime) -> bool:
    """Whether an item is a void match played again in full: a match of its own, open for guesses of its own.

    Before the lock nobody has seen a guess, so a match that was called off may come back as it was.
    """
    is_void = stored.status in VOID or stored.result_state is ResultState.VOID
    if not is_void or stored.lock_at is None or stored.lock_at > now:
        return False
    if match.status in VOID or match.kind is ResultKind.AWARDED or match.unknown_status is not None:
        return False
    is_dated = match.kick_off is not None and match.kick_off_precision is not KickOffPrecision.UNKNOWN
    return is_dated and match.kick_off is not None and match.kick_off >= stored.lock_at + REPLAYED_AFTER


def is_swapped(match: MatchSnapshot, stored: StoredMatch, references: References) -> bool:
    """Whether the two teams have changed sides."""
    home, away = sides_of(match, references)
    return home is not None and away is not None and stored.sides == (away, home)


def one_each(
    pairs: Iterable[tuple[MatchSnapshot, StoredMatch | None]],
) -> tuple[list[tuple[MatchSnapshot, StoredMatch | None]], list[MatchSnapshot]]:
    """The pairs with each stored match once, and the items that claim one that others claim too.

    Of two listings of a match, one of them postponed, the other one is the match.
    """
    claims = defaultdict(list)
    clear: list[tuple[MatchSnapshot, StoredMatch | None]] = []
    doubled: list[MatchSnapshot] = []
    for match, stored in pairs:
        if stored is None:
            clear.append((match, None))
        else:
            claims[stored.id].append((match, stored))
    for claimed in claims.values():
        present = [pair for pair in claimed if pair[0].status is not MatchStatus.POSTPONED] or claimed
        if len(present) == 1:
            clear += present
        else:
            doubled += [match for match, _ in claimed]
    return clear, doubled


def sides_of(match: MatchSnapshot, references: References) -> tuple[Hashable, Hashable]:
    """Ids of the two teams; None for one that is unknown."""
    return references.teams.get(match.home_team_key or ""), references.teams.get(match.away_team_key or "")


def _ways(references: References) -> tuple[_Way, ...]:
    def round_of(match: MatchSnapshot) -> Hashable:
        return references.rounds.get(match.round_slug)

    def teams(match: MatchSnapshot) -> Hashable:
        return _whole(sides_of(match, references))

    return (
        _Way(
            lambda match: _whole((round_of(match), teams(match))),
            lambda stored: _whole((stored.values["round_id"], _whole(stored.sides))),
        ),
        # Moved to another round.
        _Way(teams, lambda stored: _whole(stored.sides)),
        # Turned around; two legs of one round lie further apart.
        _Way(
            lambda match: _whole((round_of(match), teams(match))),
            lambda stored: _whole((stored.values["round_id"], _whole(stored.sides[::-1]))),
            is_near=True,
        ),
        # Drawn: the key told the placeholders.
        _Way(
            lambda match: _whole((round_of(match), match.kick_off)),
            lambda stored: (
                _whole((stored.values["round_id"], stored.values["kick_off"])) if None in stored.sides else None
            ),
            tells=False,
        ),
    )


def _pair(
    links: Links,
    items: Mapping[str, MatchSnapshot],
    stored: Mapping[MatchId, StoredMatch],
    way: _Way,
    now: datetime,
) -> None:
    by_item, by_stored = _grouped(items.values(), way.of_item), _grouped(stored.values(), way.of_stored)
    for ident in by_item.keys() & by_stored.keys():
        candidates = by_stored[ident]
        wanting = [match for match in by_item[ident] if any(_may_be(match, one, way, now) for one in candidates)]
        if len(wanting) == len(candidates) == 1:
            links.found[wanting[0].key] = candidates[0].id
        elif wanting and way.tells:
            links.ambiguous.update(match.key for match in wanting)
            links.doubtful.update(one.id for one in candidates)


def _may_be(match: MatchSnapshot, stored: StoredMatch, way: _Way, now: datetime) -> bool:
    """Whether the two may be one match; what is played anew is not, nor the other leg."""
    if way.is_near and _is_far(match.kick_off, stored.values["kick_off"]):
        return False
    return not begins_anew(match, stored, now)


def _is_far(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and abs(one - other) > ROUND_SPREAD


def _grouped(found: Iterable[T], ident_of: Callable[[T], Hashable]) -> dict[Hashable, list[T]]:
    groups: dict[Hashable, list[T]] = defaultdict(list)
    for one in found:
        if (ident := ident_of(one)) is not None:
            groups[ident].append(one)
    return groups


def _whole(parts: tuple[Hashable, ...]) -> Hashable:
    """The parts, unless one of them is not known."""
    return None if None in parts else parts
