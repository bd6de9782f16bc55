"""Recognises teams under other keys: by their names, and then by the matches that they play. Pure.

Whatever fits more than one is left alone.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from domain.ids import TeamId
from domain.ingestion.snapshot import MatchSnapshot, TeamSnapshot

SAME_MATCH = timedelta(days=1)
"""How far apart providers tell one kick-off: one of them may know its date alone."""
# What one provider writes and another leaves out.
_KINDS_OF_CLUB = frozenset(
    ("ac", "afc", "as", "ca", "cf", "club", "cr", "ec", "fc", "ogc", "rc", "sc", "se", "ss", "ssc", "sv")
)

A = TypeVar("A", bound=Hashable)
B = TypeVar("B", bound=Hashable)


@dataclass(frozen=True, slots=True)
class StoredTeam:
    """A team of the tournament that no key of the reading stands for."""

    id: TeamId
    name: str
    short_name: str | None


@dataclass(frozen=True, slots=True)
class Fixture:
    """Who plays whom, and when, as it is stored."""

    home: TeamId | None
    away: TeamId | None
    kick_off: datetime


def link(
    unknown: Iterable[TeamSnapshot],
    candidates: Iterable[StoredTeam],
    known: Mapping[str, TeamId],
    matches: Iterable[MatchSnapshot],
    fixtures: Iterable[Fixture],
) -> dict[str, TeamId]:
    """The stored teams that unknown ones are, by the provider's keys; `known` are those that need no linking."""
    left = {team.key: team for team in unknown}
    stored = {team.id: team for team in candidates}
    found = _by_names(left, stored)
    told = [match for match in matches if match.kick_off is not None]
    while True:
        open_keys, open_ids = left.keys() - found.keys(), stored.keys() - set(found.values())
        more = _by_matches(open_keys, open_ids, {**known, **found}, told, fixtures)
        if not more:
            return found
        found |= more


def words_of(name: str) -> frozenset[str]:
    """What tells a team apart in its name: `AFC Bournemouth` and `Bournemouth` say the same."""
    plain = unicodedata.normalize("NFKD", name.casefold().replace("&", " and "))
    words = frozenset(re.findall(r"\w+", "".join(char for char in plain if not unicodedata.combining(char))))
    return words - _KINDS_OF_CLUB or words


def _by_names(unknown: Mapping[str, TeamSnapshot], stored: Mapping[TeamId, StoredTeam]) -> dict[str, TeamId]:
    bearers: dict[frozenset[str], set[TeamId]] = defaultdict(set)
    for key, team in stored.items():
        for words in _names(team):
            bearers[words].add(key)
    return _one_to_one({key: set().union(*(bearers[words] for words in _names(team))) for key, team in unknown.items()})


def _names(team: TeamSnapshot | StoredTeam) -> set[frozenset[str]]:
    return {words_of(name) for name in (team.name, team.short_name) if name}


def _by_matches(
    unknown: Iterable[str],
    stored: Iterable[TeamId],
    linked: Mapping[str, TeamId],
    matches: Iterable[MatchSnapshot],
    fixtures: Iterable[Fixture],
) -> dict[str, TeamId]:
    """Whoever meets the same known opponents on the same days, at home and away, is the same team."""
    opponents: dict[tuple[str, TeamId], list[tuple[datetime, TeamId]]] = defaultdict(list)
    sought, candidates = set(unknown), set(stored)
    for one in fixtures:
        for side, team, other in (("home", one.home, one.away), ("away", one.away, one.home)):
            if team in candidates and other is not None:
                opponents[side, other].append((one.kick_off, team))
    votes: dict[str, Counter[TeamId]] = defaultdict(Counter)
    for match in matches:
        for side, key, other_key in (
            ("home", match.home_team_key, match.away_team_key),
            ("away", match.away_team_key, match.home_team_key),
        ):
            other = linked.get(other_key or "")
            if key in sought and other is not None:
                votes[key].update({team for at, team in opponents[side, other] if _is_near(match, at)})
    return _one_to_one({key: _most(found) for key, found in votes.items()})


def _is_near(match: MatchSnapshot, at: datetime) -> bool:
    return match.kick_off is not None and abs(match.kick_off - at) <= SAME_MATCH


def _most(votes: Counter[TeamId]) -> set[TeamId]:
    """Who has more than half of them."""
    return {team for team, count in votes.items() if 2 * count > votes.total()}


def _one_to_one(found: Mapping[A, set[B]]) -> dict[A, B]:
    """Those that have found one, which no other one has found."""
    wanted = Counter(one for those in found.values() for one in those)
    return {key: one for key, those in found.items() if len(those) == 1 for one in those if wanted[one] == 1}
