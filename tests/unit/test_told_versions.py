"""What the version of one tournament tells of a league's board."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from domain.ids import LeagueId, TournamentId
from domain.leaderboard.board import OpenBoard, Opened, head_of
from domain.leaderboard.model import BoardKey, BoardSource, BoardState, Part
from domain.leaderboard.sheet import Sheet
from domain.scoring.model import ScoreBasis, Weights
from live import boards
from live.boards import BoardFeed

_NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
_CUP, _LEAGUE, _OTHER = (TournamentId(UUID(int=n)) for n in (1, 2, 3))
_PART = Part(
    tournament_id=_CUP,
    settled_version=1,
    board_version=10,
    basis=ScoreBasis.AFTER_EXTRA_TIME,
    bases=(ScoreBasis.AFTER_EXTRA_TIME,),
    weights=Weights(1, 0, 0, 0, 3),
    counts_in_total=True,
    played=((_NOW, None),),
    baseline=None,
    settled_matches=0,
    matches=1,
    pending_matches=0,
)


def _told(key: BoardKey, parts: tuple[Part, ...], tournament_id: UUID, version: int) -> int | None:
    nothing: Any = None
    state = BoardState(key, "e", 5 if key.league_id else 0, _NOW, parts)
    head = head_of(state, BoardSource.PROJECTION, _NOW, 0)
    latest = boards.BoardState(OpenBoard(nothing, Opened(state, head, nothing)), head, cast("Sheet", None))
    return BoardFeed(nothing, nothing).told(latest, tournament_id, version)


def test_a_leagues_board_moves_by_as_much_as_its_tournament() -> None:
    parts = (_PART, replace(_PART, tournament_id=_LEAGUE, board_version=7))
    total = BoardKey(LeagueId(UUID(int=9)))
    assert _told(total, parts, _CUP, 10) == 22
    assert _told(total, parts, _CUP, 13) == 25
    assert _told(total, parts, _LEAGUE, 13) == 28
    assert _told(total, parts, _LEAGUE, 3) == 22  # an old one
    assert _told(total, parts, _OTHER, 13) == 22
    assert _told(replace(total, tournament_id=_CUP), parts[:1], _CUP, 11) == 16


def test_a_tournaments_board_has_its_version() -> None:
    assert _told(BoardKey(tournament_id=_CUP), (_PART,), _CUP, 11) == 11
