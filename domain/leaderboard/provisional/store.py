"""SQL of provisional points: which matches they come from, and the guesses of those."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, and_, cast, func, literal_column, not_, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from domain.guess.tables import guesses
from domain.ids import MatchId, TeamId, TournamentId
from domain.ingestion.finality.rules import NO_EXTRA_TIME
from domain.leaderboard.model import LiveMatch
from domain.match.model import Goals, MatchStatus, ResultKind, ResultState
from domain.match.store import lock_passed
from domain.match.tables import matches
from domain.scoring.model import ScoreBasis
from domain.scoring.rules import goals_so_far
from domain.settlement.tables import settlements

if TYPE_CHECKING:
    from sqlalchemy import Select

_PARTS = ("goals", "regulation", "extra_time")
_TOLD = ("id", "home_team_id", "lock_at", "status", "result_kind")


def is_provisional() -> "ColumnElement[bool]":
    """That a match pays provisional points: it is in play, or over and not settled. Never null.

    Expects `matches`, and `settlements` joined to it as the one that is active, if any.
    """
    return and_(
        matches.c.status.in_([MatchStatus.IN_PLAY, MatchStatus.ENDED]),
        matches.c.result_state.not_in([ResultState.NONE, ResultState.VOID]),
        matches.c.result_kind != ResultKind.VOID,
        # What was played in extra time is not known: the score after 90 minutes does not stand in for it.
        matches.c.hold_reason.is_distinct_from(NO_EXTRA_TIME),
        lock_passed(),
        not_(is_settled()),
    )


def is_settled() -> "ColumnElement[bool]":
    """That a match counts by its settlement. Never null; expects what `is_provisional` does.

    A match that was called off and is on again has a settlement that pays nothing, until its result is settled.
    """
    is_of_result = and_(
        matches.c.result_state.in_([ResultState.FINAL, ResultState.VOID]),
        settlements.c.revision == matches.c.result_revision,
    )
    return func.coalesce(or_(is_of_result, settlements.c.guesses > 0), False)


def told() -> "ColumnElement[Any]":
    """What `to_live` reads, of all provisional matches of a group in one value; null when there are none."""
    columns = [*(matches.c[name] for name in _TOLD), *(matches.c[name] for name in _score_columns())]
    pairs: list[ColumnElement[Any]] = []
    for column in columns:
        pairs += (literal_column(f"'{column.name}'"), column)
    return func.jsonb_agg(func.jsonb_build_object(*pairs), type_=JSONB).filter(is_provisional())


def to_live(told: "Iterable[Mapping[str, Any]] | None", bases: Iterable[ScoreBasis]) -> tuple[LiveMatch, ...]:
    """The matches, by id, each with the score that counts for now under each basis; without any such it is left out."""
    found = [_to_live(match, tuple(bases)) for match in told or ()]
    return tuple(sorted((match for match in found if match.scores), key=lambda match: match.id))


def guesses_of(tournament_id: TournamentId, match_id: MatchId, ranked: "Select[Any] | None" = None) -> "Select[Any]":
    """All guesses of a match, or those of some members: (member, home goals, away goals)."""
    statement = select(guesses.c.member_id, cast(guesses.c.home, Integer), cast(guesses.c.away, Integer)).where(
        guesses.c.tournament_id == tournament_id, guesses.c.match_id == match_id
    )
    return statement if ranked is None else statement.where(guesses.c.member_id.in_(ranked))


def _score_columns() -> list[str]:
    return [f"{side}_{part}" for part in _PARTS for side in ("home", "away")]


def _to_live(match: Mapping[str, Any], bases: tuple[ScoreBasis, ...]) -> LiveMatch:
    running, regulation, after_extra_time = (_goals(match, part) for part in _PARTS)
    if match["status"] != MatchStatus.IN_PLAY:
        running = None
    kind = ResultKind(match["result_kind"])
    counted = {basis: goals_so_far(kind, basis, regulation, after_extra_time, running) for basis in bases}
    home_team_id = match["home_team_id"]
    return LiveMatch(
        id=MatchId(UUID(match["id"])),
        home_team_id=None if home_team_id is None else TeamId(UUID(home_team_id)),
        lock_at=datetime.fromisoformat(match["lock_at"]),
        scores={basis: goals for basis, goals in counted.items() if goals is not None},
    )


def _goals(match: Mapping[str, Any], part: str) -> Goals | None:
    home = match[f"home_{part}"]
    return None if home is None else Goals(home, match[f"away_{part}"])
