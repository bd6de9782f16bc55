"""Which stored team one is that another provider tells of; what fits several is none of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.ids import TeamId
from domain.ingestion.identity.rules import Fixture, StoredTeam, link, words_of
from domain.ingestion.snapshot import MatchSnapshot, TeamSnapshot
from tests.support.openfootball import a_match, first_match

ITEM = first_match(a_match())
DAY = datetime(2026, 8, 15, 14, tzinfo=UTC)
ANCHOR = TeamId(UUID(int=99))


def told(key: str, name: str, short_name: str | None = None) -> TeamSnapshot:
    return TeamSnapshot(key, name, short_name, None)


def stored(number: int, name: str, short_name: str | None = None) -> StoredTeam:
    return StoredTeam(TeamId(UUID(int=number)), name, short_name)


def plays(home: str, away: str, day: int) -> MatchSnapshot:
    return replace(ITEM, home_team_key=home, away_team_key=away, kick_off=DAY + timedelta(days=7 * day))


def fixture(home: TeamId, away: TeamId, day: int) -> Fixture:
    return Fixture(home, away, DAY + timedelta(days=7 * day, hours=3))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("AFC Bournemouth", "Bournemouth"),
        ("Brighton & Hove Albion FC", "Brighton and Hove Albion"),
        ("São Paulo FC", "Sao Paulo"),
        ("Atlético Madrid", "ATLETICO  MADRID"),
        ("SC FC", "FC SC"),
    ],
)
def test_names_that_tell_the_same_team(one: str, other: str) -> None:
    assert words_of(one) == words_of(other)


def test_names_that_tell_different_teams() -> None:
    names = ["Manchester United FC", "Manchester City FC", "Sheffield United FC", "Real Madrid", "Real Sociedad"]
    assert len({words_of(name) for name in names}) == len(names)


def test_a_team_is_found_by_either_of_its_names() -> None:
    city = stored(1, "Manchester City FC", "Man City")
    assert link([told("7", "Man. City", None)], [city, stored(2, "Manchester United FC")], {}, [], []) == {"7": city.id}


def test_a_name_that_two_bear_links_neither() -> None:
    rangers = [stored(1, "Rangers FC"), stored(2, "Rangers AC")]
    assert link([told("7", "Rangers")], rangers, {}, [], []) == {}
    assert link([told("7", "Rangers"), told("8", "Rangers SC")], rangers[:1], {}, [], []) == {}


def test_another_name_is_told_by_the_matches_with_known_teams() -> None:
    wolves, spurs = stored(1, "Wolverhampton Wanderers"), stored(2, "Tottenham Hotspur")
    fixtures = [fixture(wolves.id, ANCHOR, 0), fixture(ANCHOR, spurs.id, 1), fixture(spurs.id, wolves.id, 2)]
    matches = [plays("W", "A", 0), plays("A", "S", 1), plays("S", "W", 2)]
    unknown = [told("W", "Wolves"), told("S", "Spurs")]
    assert link(unknown, [wolves, spurs], {"A": ANCHOR}, matches, fixtures) == {"W": wolves.id, "S": spurs.id}


def test_who_is_known_through_another_one_is_found_too() -> None:
    wolves, spurs = stored(1, "Wolverhampton Wanderers"), stored(2, "Tottenham Hotspur")
    fixtures = [fixture(wolves.id, ANCHOR, 0), fixture(spurs.id, wolves.id, 2)]
    matches = [plays("W", "A", 0), plays("S", "W", 2)]
    unknown = [told("W", "Wolves"), told("S", "Spurs")]
    assert link(unknown, [wolves, spurs], {"A": ANCHOR}, matches, fixtures) == {"W": wolves.id, "S": spurs.id}


def test_matches_on_other_days_or_sides_tell_nothing() -> None:
    wolves = stored(1, "Wolverhampton Wanderers")
    fixtures = [fixture(wolves.id, ANCHOR, 0), fixture(ANCHOR, wolves.id, 1)]
    matches = [plays("W", "A", 1), plays("A", "W", 3)]
    assert link([told("W", "Wolves")], [wolves], {"A": ANCHOR}, matches, fixtures) == {}


def test_a_team_that_is_new_stays_new() -> None:
    wolves = stored(1, "Wolverhampton Wanderers")
    fixtures = [fixture(wolves.id, ANCHOR, 0)]
    matches = [plays("W", "A", 0), plays("N", "A", 5)]
    unknown = [told("W", "Wolves"), told("N", "Newcomers")]
    assert link(unknown, [wolves], {"A": ANCHOR}, matches, fixtures) == {"W": wolves.id}
