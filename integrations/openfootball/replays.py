"""Descriptions of replays on disk, `COMPETITION/SEASON (replay DATE-N).json`, written by who starts one."""

import os
import re
from collections.abc import Container, Iterable
from datetime import date, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec

from domain.ingestion.errors import ProviderBadData, ProviderNotFound
from integrations.openfootball.files import is_competition, read_bytes, season_path
from integrations.openfootball.replay import MAX_SPREAD

READABLE = 0o644
"""The worker that reads a description need not run as the user who wrote it."""

_REPLAY = re.compile(
    r"(?P<source>[A-Za-z0-9][A-Za-z0-9._-]{0,63}) \(replay (?P<date>\d{4}-\d{2}-\d{2})-(?P<number>\d{1,6})\)"
)


class ReplayDescription(msgspec.Struct, frozen=True):
    """What is played, from when, how fast."""

    source_season: str
    starts_at: datetime
    """Aware: the first kick-off on the clock of the replay."""
    speed: float | None
    """How many times faster than life; None spreads the kick-offs evenly over `spread_seconds`."""
    spread_seconds: float = MAX_SPREAD.total_seconds()
    folder: str | None = None
    """Absolute folder of the source file; None is the provider's own."""


def is_replay(season: str) -> bool:
    return _REPLAY.fullmatch(season) is not None


def replay_path(replays: Path, competition: str, season: str) -> Path:
    """Raises ProviderNotFound for names that can be no replay."""
    if not is_replay(season) or not is_competition(competition):
        raise ProviderNotFound(f"no replay `{season}/{competition}`")
    return replays / competition / f"{season}.json"


def write_replay(
    replays: Path, competition: str, description: ReplayDescription, *, day: date, taken: Container[str] = ()
) -> str:
    """Stores a new replay under the next free season name of a day, which is returned.

    `taken` holds season names that are in use elsewhere, such as in a database that outlived this folder. Whole or
    not at all: a reader never sees half a description, and two writers never get one name.
    """
    season_path(replays, competition, description.source_season)
    folder = replays / competition
    folder.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=folder, prefix=".", suffix=".tmp") as draft:
        draft.write(msgspec.json.encode(description))
        draft.flush()
        os.fchmod(draft.fileno(), READABLE)
        return _link(Path(draft.name), folder, f"{description.source_season} (replay {day:%Y-%m-%d}", taken)


def _link(draft: Path, folder: Path, stem: str, taken: Container[str]) -> str:
    number = 0
    while True:
        number += 1
        season = f"{stem}-{number})"
        if season in taken:
            continue
        try:
            os.link(draft, folder / f"{season}.json")
        except FileExistsError:
            continue
        return season


def read_replay(replays: Path, competition: str, season: str) -> ReplayDescription:
    """Raises ProviderNotFound, ProviderUnavailable or ProviderBadData."""
    path = replay_path(replays, competition, season)
    try:
        description = msgspec.json.decode(read_bytes(path), type=ReplayDescription)
    except msgspec.DecodeError as error:
        raise ProviderBadData(f"{path.name}: {error}") from error
    if description.starts_at.tzinfo is None:
        raise ProviderBadData(f"{path.name}: `starts_at` has no offset")
    return description


def rewrite_replay(replays: Path, competition: str, season: str, description: ReplayDescription) -> None:
    """Replaces the description of a replay, whole: a reader sees the one before or this one."""
    path = replay_path(replays, competition, season)
    with NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp", delete=False) as draft:
        draft.write(msgspec.json.encode(description))
        draft.flush()
        os.fchmod(draft.fileno(), READABLE)
    Path(draft.name).replace(path)


def latest_replay(seasons: Iterable[str], source_season: str) -> str | None:
    """Of season names, the replay of a season that was begun last; None when there is none."""
    found = [
        (match["date"], int(match["number"]), season) for season in seasons if (match := _REPLAY.fullmatch(season))
    ]
    return max((entry for entry in found if is_replay_of(entry[2], source_season)), default=("", 0, None))[2]


def is_replay_of(season: str, source_season: str) -> bool:
    match = _REPLAY.fullmatch(season)
    return match is not None and match["source"] == source_season
