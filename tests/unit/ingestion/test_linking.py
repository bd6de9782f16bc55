"""Which stored match an item with a new key is; what fits several is none of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.ids import MatchId, RoundId, TeamId
from domain.ingestion.linking import Links, begins_anew, is_swapped, link, one_each
from domain.ingestion.model import References, StoredMatch
from domain.ingestion.snapshot import MatchSnapshot
from domain.match.model import KickOffPrecision, MatchStatus, ResultKind, ResultState
from tests.support.openfootball import a_match, first_match

KICK_OFF = datetime(2026, 8, 15, 14, tzinfo=UTC)
NOW = KICK_OFF - timedelta(days=1)
DAY = timedelta(days=1)
ITEM = replace(first_match(a_match(score={})), kick_off=KICK_OFF, round_slug="1", home_team_key="A", away_team_key="B")
TEAMS = {key: TeamId(UUID(int=n)) for n, key in enumerate("ABCD", start=1)}
ROUNDS = {slug: RoundId(UUID(int=n)) for n, slug in enumerate("123", start=11)}
REFERENCES = References(ROUNDS, TEAMS, {})


def item(key: str, sides: str = "AB", round_slug: str = "1", **changes: Any) -> MatchSnapshot:
    home, away = (side if side in TEAMS else None for side in sides)
    return replace(ITEM, key=key, round_slug=round_slug, home_team_key=home, away_team_key=away, **changes)


def stored(n: int, sides: str = "AB", round_slug: str = "1", **changes: Any) -> StoredMatch:
    values = {
        "round_id": ROUNDS[round_slug],
        "home_team_id": TEAMS.get(sides[0]),
        "away_team_id": TEAMS.get(sides[1]),
        "kick_off": KICK_OFF,
        "lock_at": KICK_OFF,
        "status": "NOT_STARTED",
    }
    state = changes.pop("result_state", ResultState.NONE)
    return StoredMatch(MatchId(UUID(int=n)), values | changes, state, missing=False, checked_at=None)


def linked(items: list[MatchSnapshot], unseen: list[StoredMatch], put_off: list[StoredMatch] | None = None) -> Links:
    return link(items, unseen, put_off or [], REFERENCES, NOW)


def one(found: StoredMatch) -> dict[str, MatchId]:
    return {"new": found.id}


def test_the_same_teams_in_the_same_round_are_the_same_match() -> None:
    match = stored(1)
    assert linked([item("new")], [match, stored(2, "CD"), stored(3, "AB", "2")]) == Links(one(match))


def test_a_match_that_is_alone_with_its_teams_may_have_moved_to_another_round() -> None:
    match = stored(1, round_slug="2")
    assert linked([item("new")], [match, stored(2, "CD")]) == Links(one(match))


def test_what_fits_nothing_is_new() -> None:
    assert linked([item("new")], [stored(1, "CD"), stored(2, "AC")]) == Links()


@pytest.mark.parametrize("rounds", ["11", "23"])
def test_one_item_that_fits_two_is_neither(rounds: str) -> None:
    matches = [stored(n, "AB", slug) for n, slug in enumerate(rounds)]
    assert linked([item("new")], matches) == Links({}, {"new"}, {match.id for match in matches})


def test_two_items_that_fit_one_are_not_it() -> None:
    match = stored(1)
    assert linked([item("new"), item("newer")], [match]) == Links({}, {"new", "newer"}, {match.id})


def test_the_right_round_comes_before_any_other() -> None:
    first, second = stored(1, round_slug="1"), stored(2, round_slug="2")
    found = linked([item("a"), item("b", round_slug="3")], [first, second])
    assert found == Links({"a": first.id, "b": second.id})


def test_swapped_sides_are_the_same_match_in_the_same_round_and_time_only() -> None:
    match = stored(1, "BA")
    assert linked([item("new")], [match]) == Links(one(match))
    assert linked([item("new", round_slug="2")], [match]) == Links()
    assert linked([item("new", kick_off=KICK_OFF + 7 * DAY)], [match]) == Links()


def test_the_second_leg_that_appears_is_not_the_first_one_turned() -> None:
    first_leg = stored(1, "BA")
    assert linked([item("new"), item("again", "BA")], [first_leg]) == Links({"again": first_leg.id})


def test_a_draw_is_found_by_round_and_time() -> None:
    undrawn = stored(1, "??")
    assert linked([item("new")], [undrawn, stored(2, "??", "2")]) == Links(one(undrawn))
    assert linked([item("new")], [undrawn, stored(2, "C?")]) == Links()
    assert linked([item("new", kick_off=KICK_OFF + DAY)], [undrawn]) == Links()


def test_of_a_postponed_match_the_new_date_is_found_in_the_same_round_only() -> None:
    put_off = stored(1)
    later = KICK_OFF + 30 * DAY
    assert linked([item("new", kick_off=later)], [], [put_off]) == Links(one(put_off))
    assert linked([item("new", round_slug="2", kick_off=later)], [], [put_off]) == Links()


def test_placeholders_are_never_the_same_for_having_no_teams() -> None:
    assert linked([item("new", "??")], [stored(1, "??", "2")]) == Links()


@pytest.mark.parametrize(
    ("was", "told", "is_anew"),
    [
        ({"status": "ABANDONED"}, {}, True),
        ({"status": "CANCELLED"}, {}, True),
        ({"status": "ENDED", "result_state": ResultState.VOID}, {}, True),
        ({"status": "ENDED", "result_state": ResultState.FINAL}, {}, False),
        ({"status": "POSTPONED"}, {}, False),
        ({"status": "CANCELLED", "lock_at": KICK_OFF + 2 * DAY}, {}, False),
        ({"status": "CANCELLED", "lock_at": None}, {}, False),
        ({"status": "ABANDONED"}, {"status": MatchStatus.ENDED}, True),
        ({"status": "ABANDONED"}, {"status": MatchStatus.ABANDONED}, False),
        ({"status": "ABANDONED"}, {"status": MatchStatus.ENDED, "kind": ResultKind.AWARDED}, False),
        ({"status": "ABANDONED"}, {"unknown_status": "?"}, False),
        ({"status": "ABANDONED"}, {"kick_off": None, "kick_off_precision": KickOffPrecision.UNKNOWN}, False),
        ({"status": "ABANDONED"}, {"kick_off": KICK_OFF + timedelta(hours=11)}, False),
    ],
)
def test_a_void_match_with_a_passed_lock_that_kicks_off_later_is_another_match(
    was: dict[str, Any], told: dict[str, Any], is_anew: bool
) -> None:
    match = item("key", **({"kick_off": KICK_OFF + 2 * DAY} | told))
    assert begins_anew(match, stored(1, **was), KICK_OFF + DAY) is is_anew


def test_sides_are_swapped_when_both_teams_are_known_and_changed_places() -> None:
    assert is_swapped(item("key"), stored(1, "BA"), REFERENCES)
    assert not is_swapped(item("key"), stored(1, "AB"), REFERENCES)
    assert not is_swapped(item("key"), stored(1, "CA"), REFERENCES)
    assert not is_swapped(item("key", "??"), stored(1, "??"), REFERENCES)


def test_of_two_listings_the_one_that_is_not_postponed_is_the_match() -> None:
    match, other = stored(1), stored(2)
    old, new = item("old", status=MatchStatus.POSTPONED), item("new")
    assert one_each([(old, match), (new, match), (ITEM, other)]) == ([(new, match), (ITEM, other)], [])
    assert one_each([(new, match), (item("newer"), match), (ITEM, None)]) == ([(ITEM, None)], [new, item("newer")])
    both_put_off = [(old, match), (replace(old, key="older"), match)]
    assert one_each(both_put_off) == ([], [match for match, _ in both_put_off])
