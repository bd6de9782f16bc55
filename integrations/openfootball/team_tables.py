"""Team tables that a file tells (`.standings.json`), checked against what the matches know."""

from collections.abc import Iterable, Sequence

from domain.ingestion.snapshot import StandingsGroupSnapshot, StandingSnapshot
from integrations.openfootball.parse import RawGroupTable, RawStanding


def listed_tables(
    tables: Iterable[RawGroupTable], competition: str, computed: Sequence[StandingsGroupSnapshot]
) -> tuple[StandingsGroupSnapshot, ...]:
    """The tables of the file. Raises ValueError, for people, unless they list the groups and teams of the matches."""
    found = tuple(_table(table, competition) for table in tables)
    if _teams(found) != _teams(computed):
        raise ValueError("the groups or teams are not those of the matches")
    return found


def _teams(tables: Iterable[StandingsGroupSnapshot]) -> list[tuple[str, list[str]]]:
    return sorted((table.name or "", sorted(row.team_key for row in table.rows)) for table in tables)


def _table(table: RawGroupTable, competition: str) -> StandingsGroupSnapshot:
    rows = tuple(_row(row, competition) for row in sorted(table.standings, key=lambda row: row.pos))
    return StandingsGroupSnapshot(name=table.name, is_computed=False, rows=rows)


def _row(row: RawStanding, competition: str) -> StandingSnapshot:
    if row.played != row.won + row.drawn + row.lost:
        raise ValueError(f"{row.team.name} played {row.played} matches, which is not won + drawn + lost")
    return StandingSnapshot(
        team_key=f"{competition}/{row.team.name}",
        position=row.pos,
        played=row.played,
        won=row.won,
        drawn=row.drawn,
        lost=row.lost,
        goals_for=row.goals_for,
        goals_against=row.goals_against,
        points=row.pts,
    )
