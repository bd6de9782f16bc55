"""The openfootball provider: reads a season from its folder, or a replay of one as it stands at the moment."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from domain.ingestion.errors import ProviderBadData, ProviderNotFound
from domain.ingestion.snapshot import TournamentSnapshot
from integrations.openfootball import files, parse, replays
from integrations.openfootball.files import FileStamp
from integrations.openfootball.mapping import Season, Source, map_season
from integrations.openfootball.replay import ReplayPlan
from integrations.openfootball.zones import zone_of


@dataclass(frozen=True, slots=True)
class _KnownPlan:
    """A plan, and the files that it was made of."""

    stamps: Mapping[Path, FileStamp | None]
    plan: ReplayPlan

    def is_fresh(self) -> bool:
        return all(files.stamp_of(path) == stamp for path, stamp in self.stamps.items())


class OpenFootballProvider:
    """Implements `domain.ingestion.ports.Provider`.

    A replay is read many times a second, so the plan of each is kept as long as its files stay as they are.
    """

    gate = None
    """Files are final by nature."""

    def __init__(
        self, folder: Path, *, replays_folder: Path | None = None, time_zones: Mapping[str, ZoneInfo] | None = None
    ) -> None:
        """`time_zones` by competition code goes before the known zones; it is for files of other competitions."""
        self._folder = folder
        self._replays_folder = replays_folder
        self._time_zones = time_zones or {}
        self._plans: dict[tuple[str, str], _KnownPlan] = {}

    async def read(
        self, competition: str, season: str, *, now: datetime, time_zone: str | None = None
    ) -> TournamentSnapshot:
        if replays.is_replay(season):
            return (await self.read_plan(competition, season)).at(now)
        zone = ZoneInfo(time_zone) if time_zone is not None else None
        return (await asyncio.to_thread(self._read_season, self._folder, competition, season, season, zone)).snapshot

    async def read_plan(self, competition: str, season: str) -> ReplayPlan:
        """The plan of a replay. Raises as `read` does."""
        known = self._plans.get((competition, season))
        if known is None or not known.is_fresh():
            known = await asyncio.to_thread(self._make_plan, competition, season)
            self._plans[competition, season] = known
        return known.plan

    def _make_plan(self, competition: str, season: str) -> _KnownPlan:
        if self._replays_folder is None:
            raise ProviderNotFound(f"no replay `{season}/{competition}`: no folder of replays is set")
        description_path = replays.replay_path(self._replays_folder, competition, season)
        before = {description_path: files.stamp_of(description_path)}
        description = replays.read_replay(self._replays_folder, competition, season)
        folder = Path(description.folder) if description.folder is not None else self._folder
        path = files.season_path(folder, competition, description.source_season)
        # Stamps come before the reading: a file that changes meanwhile is read again next time.
        stamps = before | {source: files.stamp_of(source) for source in (path, files.groups_path(path))}
        played = self._read_season(folder, competition, description.source_season, season)
        return _KnownPlan(stamps, _plan(played, description, description_path.name))

    def _read_season(
        self, folder: Path, competition: str, season: str, known_as: str, zone: ZoneInfo | None = None
    ) -> Season:
        path = files.season_path(folder, competition, season)
        raw = parse.parse_file(files.read_bytes(path), path.name)
        groups, tables = files.groups_path(path), files.standings_path(path)
        source = Source(
            competition=competition,
            season=known_as,
            file=path.name,
            zone=zone or self._time_zones.get(competition) or zone_of(competition, season),
            groups=parse.parse_groups(files.read_bytes(groups), groups.name) if files.stamp_of(groups) else (),
            tables=parse.parse_standings(files.read_bytes(tables), tables.name) if files.stamp_of(tables) else (),
            tables_file=tables.name,
        )
        return map_season(raw, source)


def _plan(season: Season, description: replays.ReplayDescription, file: str) -> ReplayPlan:
    starts_at = description.starts_at.astimezone(UTC)
    try:
        return ReplayPlan.from_snapshot(
            season.snapshot,
            season.courses,
            starts_at=starts_at,
            speed=description.speed,
            spread=timedelta(seconds=description.spread_seconds),
        )
    except ValueError as error:
        raise ProviderBadData(f"{file}: {error}") from error
