"""Files of openfootball for tests: the real ones, and small ones made on the spot."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from domain.ingestion.snapshot import MatchSnapshot, Rejection, TournamentSnapshot
from integrations.openfootball.files import is_competition
from integrations.openfootball.mapping import Season, Source, map_season
from integrations.openfootball.parse import parse_file
from integrations.openfootball.provider import OpenFootballProvider

DATA = Path(__file__).parents[1] / "data" / "openfootball"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

JsonObject = dict[str, Any]


def list_seasons(folder: Path) -> list[tuple[str, str]]:
    """(season, competition) of every file in the folder, in order."""
    return sorted((path.parent.name, path.stem) for path in folder.glob("*/*.json") if is_competition(path.stem))


async def read_real(competition: str, season: str) -> TournamentSnapshot:
    return await OpenFootballProvider(DATA).read(competition, season, now=NOW)


def real_json(competition: str, season: str) -> JsonObject:
    content: JsonObject = json.loads((DATA / season / f"{competition}.json").read_bytes())
    return content


def a_match(**changes: Any) -> JsonObject:
    """A match that was played; fields given as None are left out."""
    match = {
        "round": "Matchday 1",
        "date": "2024-08-17",
        "time": "15:00",
        "team1": "Arsenal FC",
        "team2": "Everton FC",
        "score": {"ht": [1, 0], "ft": [2, 1]},
    }
    return {name: value for name, value in (match | changes).items() if value is not None}


def map_matches(*matches: JsonObject, competition: str = "en.1", season: str = "2024-25", **source: Any) -> Season:
    """What a file of these matches comes to, beside one good match that keeps the file alive."""
    good = a_match(team1="Liverpool FC", team2="Fulham FC")
    return map_content({"name": "Test League", "matches": [*matches, good]}, competition, season, **source)


def map_content(content: JsonObject, competition: str = "en.1", season: str = "2024-25", **source: Any) -> Season:
    zone = source.pop("zone", ZoneInfo("Europe/London"))
    file = f"{competition}.json"
    raw = parse_file(json.dumps(content).encode(), file)
    return map_season(raw, Source(competition, season, file, zone, **source))


def first_match(*matches: JsonObject, **source: Any) -> MatchSnapshot:
    return map_matches(*matches, **source).snapshot.matches[0]


def only_rejection(*matches: JsonObject, **source: Any) -> Rejection:
    """The one rejection of a file whose other matches were taken."""
    snapshot = map_matches(*matches, **source).snapshot
    assert len(snapshot.matches) == len(matches), "every match but the rejected one is taken"
    (rejection,) = snapshot.rejections
    return rejection


def write_season(folder: Path, competition: str, season: str, content: bytes | JsonObject) -> Path:
    path = folder / season / f"{competition}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path
