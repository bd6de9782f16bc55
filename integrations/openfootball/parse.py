"""Bytes of an openfootball file to typed raw values, in both forms of the format.

The present form is a flat `matches[]`; the older one nests matches in `rounds[]` and tells teams as objects, and still
older files tell scores as `score1`, `score2`. A fault of one match is a rejection of that match alone.
"""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from domain.ingestion.errors import ProviderBadData
from domain.ingestion.snapshot import Rejection

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Number = Annotated[int, Meta(ge=0, le=99)]
Pair = tuple[Number, Number]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NOT_TOLD = Raw(b"null")


class RawTeam(Struct, frozen=True):
    name: Name
    code: str | None = None


class RawScore(Struct, frozen=True):
    """Parts as the file has them; `et` includes the goals of the 90 minutes, `p` is the shoot-out alone."""

    ft: Pair | None = None
    ht: Pair | None = None
    et: Pair | None = None
    p: Pair | None = None


class RawGoal(Struct, frozen=True):
    """A goal for the side in whose list it stands, own goals included."""

    minute: Annotated[int, Meta(ge=0, le=130)]
    offset: Annotated[int, Meta(ge=0, le=60)] = 0


class RawMatch(Struct, frozen=True):
    index: int
    """Place among the matches of the file, from 0, counted through all rounds of the nested form."""
    round: str
    date: str | None
    time: str | None
    time_zone: str | None
    """Offset told apart from the time, such as `UTC+3` (older files)."""
    team1: RawTeam
    team2: RawTeam
    score: RawScore
    status: str | None
    group: str | None
    ground: str | None
    goals1: tuple[RawGoal, ...] | None
    """None when the file has no list that makes sense."""
    goals2: tuple[RawGoal, ...] | None


class RawFile(Struct, frozen=True):
    name: str
    matches: tuple[RawMatch, ...]
    rejections: tuple[Rejection, ...]


class RawGroup(Struct, frozen=True):
    name: Name
    teams: tuple[str | RawTeam, ...]


class RawStanding(Struct, frozen=True):
    team: RawTeam
    pos: int
    played: int
    won: int
    drawn: int
    lost: int
    goals_for: int
    goals_against: int
    pts: int


class RawGroupTable(Struct, frozen=True):
    name: Name
    standings: tuple[RawStanding, ...]


class _Groups(Struct, frozen=True):
    groups: tuple[RawGroup, ...]


class _Standings(Struct, frozen=True):
    groups: tuple[RawGroupTable, ...]


class _Named(Struct, frozen=True):
    name: str


class _Round(Struct, frozen=True):
    name: Name
    matches: tuple[Raw, ...]


class _File(Struct, frozen=True):
    name: Name
    matches: tuple[Raw, ...] | None = None
    rounds: tuple[_Round, ...] | None = None


class _Match(Struct, frozen=True):
    team1: Name | RawTeam
    team2: Name | RawTeam
    round: str | None = None
    date: str | None = None
    time: str | None = None
    timezone: str | None = None
    score: RawScore | None = None
    status: str | None = None
    group: Name | None = None
    ground: str | None = None
    stadium: _Named | None = None
    city: str | None = None
    goals1: Raw = NOT_TOLD
    goals2: Raw = NOT_TOLD
    score1: Number | None = None
    score2: Number | None = None
    score1i: Number | None = None
    score2i: Number | None = None
    score1et: Number | None = None
    score2et: Number | None = None
    score1p: Number | None = None
    score2p: Number | None = None


_MATCH = msgspec.json.Decoder(_Match)
_GOALS: msgspec.json.Decoder[tuple[RawGoal, ...] | None] = msgspec.json.Decoder(tuple[RawGoal, ...] | None)


def parse_file(data: bytes, file: str) -> RawFile:
    """The matches of a file. Raises ProviderBadData, with the place, when the file as a whole makes no sense."""
    top = _decode(data, file, _File)
    items = _items(top, file)
    matches: list[RawMatch] = []
    rejections: list[Rejection] = []
    for index, (round_name, raw) in enumerate(items):
        try:
            matches.append(_match(index, round_name, raw))
        except (ValueError, RecursionError) as error:
            rejections.append(Rejection(file, index, str(error)))
    return RawFile(top.name, tuple(matches), tuple(rejections))


def parse_groups(data: bytes, file: str) -> tuple[RawGroup, ...]:
    """The groups of a `.groups.json` file. Raises ProviderBadData."""
    return _decode(data, file, _Groups).groups


def parse_standings(data: bytes, file: str) -> tuple[RawGroupTable, ...]:
    """The tables of a `.standings.json` file. Raises ProviderBadData."""
    return _decode(data, file, _Standings).groups


T = TypeVar("T", bound=Struct)


def _decode(data: bytes, file: str, kind: type[T]) -> T:
    text = data.removeprefix(BYTE_ORDER_MARK)
    _refuse_bad_text(text, file)
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        place = f" (byte {len(data)})" if "truncated" in str(error) else ""
        raise ProviderBadData(f"{file}: {error}{place}") from error
    except RecursionError as error:
        raise ProviderBadData(f"{file}: nested too deeply") from error


def _refuse_bad_text(data: bytes, file: str) -> None:
    """JSON may write NUL, but no database text can hold it."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise ProviderBadData(f"{file}: not UTF-8 (byte {error.start})") from error
    place = data.find(b"\\u0000")
    if place >= 0:
        raise ProviderBadData(f"{file}: a text holds a NUL character (byte {place})")


def _items(top: _File, file: str) -> list[tuple[str | None, Raw]]:
    if top.matches is not None:
        return [(None, raw) for raw in top.matches]
    if top.rounds is not None:
        return [(round_.name, raw) for round_ in top.rounds for raw in round_.matches]
    raise ProviderBadData(f"{file}: has neither `matches` nor `rounds`")


def _match(index: int, round_name: str | None, raw: Raw) -> RawMatch:
    """Raises ValueError, for people, when the match makes no sense."""
    match = _MATCH.decode(raw)
    name = round_name or match.round
    if not name or not name.strip():
        raise ValueError("has no round")
    return RawMatch(
        index=index,
        round=name,
        date=match.date or None,
        time=match.time or None,
        time_zone=match.timezone or None,
        team1=_team(match.team1),
        team2=_team(match.team2),
        score=match.score if match.score is not None else _older_score(match),
        status=match.status or None,
        group=match.group,
        ground=match.ground or _older_ground(match),
        goals1=_goals(match.goals1),
        goals2=_goals(match.goals2),
    )


def _team(team: str | RawTeam) -> RawTeam:
    found = RawTeam(team) if isinstance(team, str) else team
    if not found.name.strip():
        raise ValueError("a team has no name")
    return found


def _older_score(match: _Match) -> RawScore:
    return RawScore(
        ft=_pair("score", match.score1, match.score2),
        ht=_pair("scorei", match.score1i, match.score2i),
        et=_pair("scoreet", match.score1et, match.score2et),
        p=_pair("scorep", match.score1p, match.score2p),
    )


def _pair(name: str, home: int | None, away: int | None) -> Pair | None:
    if home is None and away is None:
        return None
    if home is None or away is None:
        raise ValueError(f"{name.replace('score', 'score1')} and {name.replace('score', 'score2')} are not a pair")
    return home, away


def _older_ground(match: _Match) -> str | None:
    parts = (match.stadium.name if match.stadium else None, match.city)
    return ", ".join(part for part in parts if part) or None


def _goals(raw: Raw) -> tuple[RawGoal, ...] | None:
    """Who scored when is an extra: a list that makes no sense is no reason to refuse the match."""
    if raw is NOT_TOLD:
        return None
    try:
        return _GOALS.decode(raw)
    except (ValueError, RecursionError):
        return None
