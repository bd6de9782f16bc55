"""What a delta holds: exactly what a client needs to turn the state before into the state after."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import MatchId, MemberId, TournamentId
from domain.leaderboard.model import BoardHead, BoardKey, BoardSource, RankedRow
from domain.leaderboard.sheet import UNMOVED, Sheet
from domain.match.model import Goals, Match, MatchStatus
from domain.member.model import Member
from live.boards import BoardState, board_delta
from live.matches import MatchState, match_delta
from tests.support.matches import planned_match
from tests.support.sheets import numbers_of_rows, removed

if TYPE_CHECKING:
    from domain.leaderboard.board import OpenBoard

_NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
_TOURNAMENT = TournamentId(UUID(int=1))


_HEAD = BoardHead(
    key=BoardKey(tournament_id=_TOURNAMENT),
    epoch="e",
    version=5,
    settled_version=2,
    settled_matches=3,
    matches=10,
    pending_matches=0,
    live_matches=0,
    computed_at=_NOW,
    source=BoardSource.PROJECTION,
    staleness_ms=0,
    members=3,
)


def _member(n: int) -> MemberId:
    return MemberId(UUID(int=100 + n))


def _row(n: int, position: int, points: int) -> RankedRow:
    return RankedRow(
        member_id=_member(n),
        position=position,
        rank=position,
        dense_rank=position,
        tied=1,
        separated_by=None,
        points=points,
        exact_scores=0,
        goal_differences=0,
        outcomes=0,
        settled_rank=position,
        settled_points=points,
    )


def _state(
    rows: list[RankedRow],
    *,
    guessed: dict[MemberId, int] | None = None,
    movement: dict[MemberId, int | None] | None = None,
    names: dict[MemberId, str] | None = None,
    **head: Any,
) -> BoardState:
    ids = [row.member_id for row in rows]
    moved = [(movement or {}).get(member_id) for member_id in ids]
    sheet = Sheet.of(
        [member_id.bytes for member_id in ids],
        [(names or {}).get(member_id, f"Member {member_id.int - 100}") for member_id in ids],
        numbers_of_rows(rows),
        [(guessed or {}).get(member_id, 0) for member_id in ids],
        np.array([UNMOVED if gained is None else gained for gained in moved], dtype=np.int64),
    )
    # No delta looks into the board.
    return BoardState(board=cast("OpenBoard", None), head=replace(_HEAD, **head), sheet=sheet)


def test_equal_windows_of_a_later_version_make_no_delta() -> None:
    before = _state([_row(1, 1, 9), _row(2, 2, 5)])
    after = _state(
        [_row(1, 1, 9), _row(2, 2, 5)],
        version=9,
        computed_at=_NOW.replace(hour=13),
        source=BoardSource.DATABASE,
        staleness_ms=70,
        members=4,
    )
    assert board_delta(before, after) is None


@pytest.mark.parametrize(
    "shown", [{"settled_version": 3}, {"settled_matches": 4}, {"matches": 9}, {"pending_matches": 1}]
)
def test_a_count_of_the_board_alone_makes_a_delta_without_rows(shown: dict[str, int]) -> None:
    delta = board_delta(_state([_row(1, 1, 9)]), _state([_row(1, 1, 9)], version=6, **shown))
    assert delta is not None
    assert (delta.epoch, delta.from_version, delta.version, delta.rows, removed(delta)) == ("e", 5, 6, (), ())
    assert (delta.guessed_matches, delta.movement, delta.members) == ({}, {}, {})


def test_a_delta_holds_changed_and_new_rows_in_order_and_who_left() -> None:
    before = _state([_row(1, 1, 9), _row(2, 2, 5), _row(3, 3, 4)])
    after = _state([_row(1, 1, 9), _row(4, 2, 8), _row(2, 3, 5)], version=8)
    delta = board_delta(before, after)
    assert delta is not None
    assert delta.rows == (_row(4, 2, 8), _row(2, 3, 5))
    assert removed(delta) == (_member(3),)
    assert set(delta.members) == set(delta.guessed_matches) == set(delta.movement) == {_member(4), _member(2)}


def test_a_row_differs_by_what_belongs_to_it_and_is_not_in_its_points() -> None:
    before = _state([_row(1, 1, 9), _row(2, 2, 5)], guessed={_member(1): 3, _member(2): 3})
    more_guessed = _state([_row(1, 1, 9), _row(2, 2, 5)], guessed={_member(1): 4, _member(2): 3}, version=6)
    delta = board_delta(before, more_guessed)
    assert delta is not None
    assert (delta.rows, delta.guessed_matches) == ((_row(1, 1, 9),), {_member(1): 4})
    guessed = {_member(1): 4, _member(2): 3}
    moved = _state([_row(1, 1, 9), _row(2, 2, 5)], guessed=guessed, movement={_member(2): -1}, version=6)
    delta = board_delta(more_guessed, moved)
    assert delta is not None
    assert (delta.rows, delta.movement) == ((_row(2, 2, 5),), {_member(2): -1})
    names = {_member(2): "Renamed"}
    renamed = _state([_row(1, 1, 9), _row(2, 2, 5)], guessed=guessed, names=names, version=6)
    delta = board_delta(more_guessed, renamed)
    assert delta is not None
    assert (delta.rows, delta.members) == ((_row(2, 2, 5),), {_member(2): Member(_member(2), "Renamed")})


_windows = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3)), max_size=6, unique_by=lambda row: row[0])


@given(_windows, _windows)
def test_applying_a_delta_gives_the_window_whatever_the_change(
    before: list[tuple[int, int]], after: list[tuple[int, int]]
) -> None:
    states = [_state([_row(n, at, points) for at, (n, points) in enumerate(rows, 1)]) for rows in (before, after)]
    client = {row.member_id: row for row in states[0].sheet.rows}
    delta = board_delta(states[0], states[1])
    for _ in range(2):  # applying twice is harmless
        if delta is not None:
            client.update((row.member_id, row) for row in delta.rows)
            for member_id in removed(delta):
                client.pop(member_id, None)
    assert tuple(sorted(client.values(), key=lambda row: row.position)) == states[1].sheet.rows
    assert (delta is None) == (states[0].sheet.rows == states[1].sheet.rows)


def _match(n: int, **changes: Any) -> Match:
    return planned_match(id=MatchId(UUID(int=n)), **changes)


def test_matches_that_changed_entered_and_left_are_told() -> None:
    before = MatchState("e", 4, (_match(1), _match(2), _match(3)))
    scored = _match(2, goals=Goals(1, 0), status=MatchStatus.IN_PLAY, version=2)
    delta = match_delta(before, MatchState("e", 7, (_match(1), scored, _match(4))))
    assert delta is not None
    assert (delta.epoch, delta.from_version, delta.version) == ("e", 4, 7)
    assert delta.matches == (scored, _match(4))
    assert delta.removed == (MatchId(UUID(int=3)),)


def test_asking_the_provider_again_is_no_change_of_a_match() -> None:
    after = MatchState("e", 5, (_match(1, last_checked_at=_NOW),))
    assert match_delta(MatchState("e", 4, (_match(1),)), after) is None
