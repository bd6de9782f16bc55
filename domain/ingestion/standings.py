"""Team tables computed from results, for providers that have none: points, goal difference, goals scored."""

from collections.abc import Iterable
from dataclasses import dataclass

from domain.ingestion.snapshot import MatchSnapshot, RoundSnapshot, StandingsGroupSnapshot, StandingSnapshot
from domain.match.model import Goals, MatchStatus
from domain.tournament.model import RoundKind

POINTS_FOR_A_WIN = 3
POINTS_FOR_A_DRAW = 1


def compute_standings(
    matches: Iterable[MatchSnapshot], rounds: Iterable[RoundSnapshot]
) -> tuple[StandingsGroupSnapshot, ...]:
    """One table for each group by its name, or a single one, of the league and group rounds; none for pure knockouts.

    Every team of a match is listed, from no match played on. Results count once the match has ended, awarded ones too.
    """
    season_rounds = {round_.slug for round_ in rounds if round_.kind is RoundKind.SEASON}
    tables: dict[str | None, dict[str, _Record]] = {}
    for match in matches:
        if match.round_slug in season_rounds and match.home_team_key and match.away_team_key:
            _count(match, match.home_team_key, match.away_team_key, tables.setdefault(match.group, {}))
    return tuple(
        StandingsGroupSnapshot(name=group, is_computed=True, rows=_ranked(records))
        for group, records in sorted(tables.items(), key=lambda item: _natural(item[0]))
    )


def _natural(group: str | None) -> tuple[int, str]:
    """`Group 2` before `Group 10`."""
    return (len(group), group) if group else (0, "")


@dataclass(slots=True)
class _Record:
    won: int = 0
    drawn: int = 0
    lost: int = 0
    goals_for: int = 0
    goals_against: int = 0

    def add(self, scored: int, conceded: int) -> None:
        self.won += scored > conceded
        self.drawn += scored == conceded
        self.lost += scored < conceded
        self.goals_for += scored
        self.goals_against += conceded

    @property
    def points(self) -> int:
        return POINTS_FOR_A_WIN * self.won + POINTS_FOR_A_DRAW * self.drawn

    @property
    def merit(self) -> tuple[int, int, int]:
        return self.points, self.goals_for - self.goals_against, self.goals_for


def _count(match: MatchSnapshot, home_key: str, away_key: str, records: dict[str, _Record]) -> None:
    for key in (home_key, away_key):
        if key not in records:
            records[key] = _Record()
    result = _result(match)
    if result is not None:
        records[home_key].add(result.home, result.away)
        records[away_key].add(result.away, result.home)


def _result(match: MatchSnapshot) -> Goals | None:
    if match.status is not MatchStatus.ENDED:
        return None
    return match.after_extra_time or match.regulation


def _ranked(records: dict[str, _Record]) -> tuple[StandingSnapshot, ...]:
    """Rows in order; level teams share a position (1-2-2-4) and stand by key, so that equal results give equal rows."""
    in_order = sorted(records.items(), key=lambda item: item[0])
    in_order.sort(key=lambda item: item[1].merit, reverse=True)
    rows: list[StandingSnapshot] = []
    for place, (key, record) in enumerate(in_order, start=1):
        is_level = place > 1 and in_order[place - 2][1].merit == record.merit
        rows.append(_row(key, rows[-1].position if is_level else place, record))
    return tuple(rows)


def _row(key: str, position: int, record: _Record) -> StandingSnapshot:
    return StandingSnapshot(
        team_key=key,
        position=position,
        played=record.won + record.drawn + record.lost,
        won=record.won,
        drawn=record.drawn,
        lost=record.lost,
        goals_for=record.goals_for,
        goals_against=record.goals_against,
        points=record.points,
    )
