"""Raw values of a file to the snapshot of a tournament. Pure."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domain.ingestion.errors import ProviderBadData
from domain.ingestion.snapshot import (
    MatchSnapshot,
    Rejection,
    RoundSnapshot,
    StandingsGroupSnapshot,
    TeamSnapshot,
    TournamentSnapshot,
)
from domain.ingestion.standings import compute_standings
from domain.match.model import Goals, MatchStatus
from domain.tournament.model import Provider, RoundKind, StandingsMode, TournamentMode
from integrations.openfootball.groups import Draft, complete_groups, number_group_rounds
from integrations.openfootball.parse import RawFile, RawGroup, RawGroupTable, RawMatch, RawTeam
from integrations.openfootball.rounds import order_rounds, read_round
from integrations.openfootball.scores import read_result
from integrations.openfootball.team_tables import listed_tables
from integrations.openfootball.zones import read_kick_off

# What stands for a team until the draw: `1A`, `2B`, `3A/B/C/D/F`, `W49`, `L101`.
_PLACEHOLDER = re.compile(r"[1-4][A-Z](?:/[A-Z])*|[WL]\d{1,3}")
_SEASON_AT_END = re.compile(r"\s+\d{4}(?:[-/]\d{2,4})?$")
_TWO_YEARS = re.compile(r"(\d{4})-(\d{2,4})")


@dataclass(frozen=True, slots=True)
class Source:
    """Which file is read, and what stands beside it."""

    competition: str
    season: str
    """Season under which the tournament is known, which for a replay is not that of the file."""
    file: str
    zone: ZoneInfo | None
    groups: tuple[RawGroup, ...] = ()
    tables: tuple[RawGroupTable, ...] = ()
    tables_file: str = ""


class GoalTime(NamedTuple):
    minute: int
    added: int
    """Minutes of added time, 0 outside of it."""
    is_home: bool
    """Whether it counts for the home side, own goals included."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a score came about, as far as the file tells."""

    half_time: Goals | None
    goals: tuple[GoalTime, ...] | None


@dataclass(frozen=True, slots=True)
class Season:
    snapshot: TournamentSnapshot
    courses: Mapping[str, Course]
    """By match key, of matches with a result."""


def map_season(raw: RawFile, source: Source) -> Season:
    """The tournament of a file. Raises ProviderBadData when not one match can be taken."""
    faults = list(raw.rejections)
    drafts = _drafts(raw.matches, source, faults)
    drafts = number_group_rounds(complete_groups(drafts, source.groups))
    rounds = order_rounds((draft.round, draft.kick_off) for draft in drafts)
    matches = _matches(drafts, source, faults)
    if not matches:
        raise ProviderBadData(_nothing_left(source.file, faults))
    standings = _standings(source, matches, rounds, faults)
    snapshot = TournamentSnapshot(
        provider=Provider.OPENFOOTBALL,
        competition=source.competition,
        season=source.season,
        label=_SEASON_AT_END.sub("", raw.name) or raw.name,
        season_label=_TWO_YEARS.sub(r"\1/\2", source.season, count=1),
        mode=_mode(rounds),
        standings_mode=StandingsMode.GROUPS if any(match.group for match, _ in matches) else StandingsMode.SINGLE_TABLE,
        time_zone=source.zone.key if source.zone else "UTC",
        rounds=rounds,
        teams=_teams(drafts, source.competition),
        matches=tuple(match for match, _ in matches),
        standings=standings,
        rejections=tuple(sorted(faults, key=lambda fault: (fault.file, fault.index or 0))),
    )
    return Season(snapshot, {match.key: course for match, course in matches if match.status is MatchStatus.ENDED})


def _drafts(matches: Iterable[RawMatch], source: Source, faults: list[Rejection]) -> list[Draft]:
    drafts = []
    for raw in matches:
        try:
            drafts.append(_draft(raw, source.zone))
        except ValueError as error:
            faults.append(Rejection(source.file, raw.index, _of_match(raw, str(error))))
    return drafts


def _draft(raw: RawMatch, zone: ZoneInfo | None) -> Draft:
    if raw.team1.name == raw.team2.name:
        raise ValueError("a team cannot play against itself")
    kick_off, precision = read_kick_off(raw.date, raw.time, raw.time_zone, zone)
    return Draft(raw, read_round(raw.round), kick_off, precision, raw.group)


def _matches(drafts: Iterable[Draft], source: Source, faults: list[Rejection]) -> list[tuple[MatchSnapshot, Course]]:
    """Matches with a possible score, in the order of the file; of two with one key the first is taken."""
    taken: dict[str, tuple[MatchSnapshot, Course]] = {}
    for draft in drafts:
        try:
            match = _match(draft, source)
            _refuse_second(match, taken)
            taken[match.key] = match, _course(draft.raw)
        except ValueError as error:
            reason = _of_match(draft.raw, str(error))
            faults.append(Rejection(source.file, draft.raw.index, reason, _key(draft, source)))
    return list(taken.values())


def _refuse_second(match: MatchSnapshot, taken: Collection[str]) -> None:
    if match.key in taken:
        raise ValueError("is listed twice in this round")


def _match(draft: Draft, source: Source) -> MatchSnapshot:
    raw = draft.raw
    result = read_result(raw)
    home, away = (_team_key(raw.team1, draft, source), _team_key(raw.team2, draft, source))
    if result.status is MatchStatus.ENDED and not (home and away):
        raise ValueError("has a score and a team that is not drawn yet")
    return MatchSnapshot(
        key=_key(draft, source),
        round_slug=draft.round.slug,
        home_team_key=home,
        away_team_key=away,
        home_label=raw.team1.name,
        away_label=raw.team2.name,
        kick_off=draft.kick_off,
        kick_off_precision=draft.precision,
        status=result.status,
        kind=result.kind,
        regulation=result.regulation,
        after_extra_time=result.after_extra_time,
        shoot_out=result.shoot_out,
        running=None,
        minute=None,
        stadium=raw.ground,
        group=draft.group if draft.round.kind is RoundKind.SEASON else None,
        data_warning=result.warning,
    )


def _key(draft: Draft, source: Source) -> str:
    teams = f"{draft.raw.team1.name}/{draft.raw.team2.name}"
    return f"{source.competition}/{source.season}/{draft.round.slug}/{teams}"


def _of_match(raw: RawMatch, fault: str) -> str:
    return f"{raw.team1.name} - {raw.team2.name} ({raw.round}): {fault}"


def _is_placeholder(name: str, draft: Draft) -> bool:
    return draft.round.kind is RoundKind.KNOCKOUT and _PLACEHOLDER.fullmatch(name) is not None


def _team_key(team: RawTeam, draft: Draft, source: Source) -> str | None:
    return None if _is_placeholder(team.name, draft) else f"{source.competition}/{team.name}"


def _teams(drafts: Iterable[Draft], competition: str) -> tuple[TeamSnapshot, ...]:
    """Every team of a match, by key. The code is that of the first match that tells one."""
    teams: dict[str, TeamSnapshot] = {}
    for draft in drafts:
        for team in (draft.raw.team1, draft.raw.team2):
            key = f"{competition}/{team.name}"
            known = teams.get(key)
            if known is None and not _is_placeholder(team.name, draft):
                teams[key] = TeamSnapshot(key, team.name, short_name=None, code=team.code)
            elif known is not None and known.code is None and team.code:
                teams[key] = replace(known, code=team.code)
    return tuple(teams[key] for key in sorted(teams))


def _course(raw: RawMatch) -> Course:
    half_time = Goals(*raw.score.ht) if raw.score.ht else None
    if raw.goals1 is None or raw.goals2 is None:
        return Course(half_time, None)
    home = [GoalTime(goal.minute, goal.offset, is_home=True) for goal in raw.goals1]
    away = [GoalTime(goal.minute, goal.offset, is_home=False) for goal in raw.goals2]
    return Course(half_time, tuple(sorted(home + away)))


def _mode(rounds: Sequence[RoundSnapshot]) -> TournamentMode:
    kinds = {round_.kind for round_ in rounds}
    if kinds == {RoundKind.SEASON}:
        return TournamentMode.REGULAR_SEASON
    return TournamentMode.KNOCKOUT if kinds == {RoundKind.KNOCKOUT} else TournamentMode.REGULAR_SEASON_AND_KNOCKOUT


def _standings(
    source: Source,
    matches: Sequence[tuple[MatchSnapshot, Course]],
    rounds: Sequence[RoundSnapshot],
    faults: list[Rejection],
) -> tuple[StandingsGroupSnapshot, ...]:
    """The provider's tables where it has them and they make sense, else computed ones."""
    computed = compute_standings((match for match, _ in matches), rounds)
    if not source.tables:
        return computed
    try:
        return listed_tables(source.tables, source.competition, computed)
    except ValueError as error:
        faults.append(Rejection(source.tables_file, None, f"{error}; tables are computed from the results"))
        return computed


def _nothing_left(file: str, faults: Sequence[Rejection]) -> str:
    if not faults:
        return f"{file}: has no matches"
    first = faults[0]
    return f"{file}: none of {len(faults)} matches can be taken; match {first.index}: {first.reason}"
