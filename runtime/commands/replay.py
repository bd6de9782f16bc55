"""`palpite replay`."""

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console

from domain.clock import utc_now
from domain.execution.status.service import read_status
from integrations.openfootball.provider import OpenFootballProvider
from runtime.commands.status import missing_processes
from runtime.database import PostgresDatabase
from runtime.embedded.servers import servers_for_command
from runtime.errors import SetupError
from runtime.preflight import patiently, require_postgres
from runtime.process import require_migrations
from runtime.replay import Player, describe, parse_season, parse_speed
from runtime.settings import Settings, load_settings
from schema.ids import encode

MOST_SECONDS = 31_536_000
_START_SECONDS = 5
"""Within which the worker of a `palpite up` that has just said `ready` shows itself."""


def replay(
    season: str,
    /,
    *,
    from_: Annotated[Path | None, Parameter(name="--from")] = None,
    starts_in: Annotated[float, Parameter(validator=Number(gte=0, lte=MOST_SECONDS))] = 10,
    speed: str = "max",
) -> None:
    """Replay a season from its file as if its first kick-off were seconds from now.

    It is a tournament of its own, and needs a running worker and scheduler (`palpite up`). It ends when every result of
    the file is settled.

    Example: `palpite replay 2022/worldcup --speed 2000`

    Parameters
    ----------
    season
        SEASON/COMPETITION, such as 2024-25/en.1.
    from_
        The folder of the files (PALPITE_OPENFOOTBALL_DIR).
    starts_in
        Seconds from now to the first kick-off, at most a year's.
    speed
        How many times faster than life, at least 0.01; max spreads the kick-offs evenly over 60 seconds.
    """
    known = parse_season(season), parse_speed(speed)
    with servers_for_command(load_settings(), with_valkey=False) as settings:
        asyncio.run(_replay(settings, *known, folder=from_, starts_in=starts_in))


async def _replay(
    settings: Settings, named: tuple[str, str], speed: float | None, *, folder: Path | None, starts_in: float
) -> None:
    url = settings.required_database_url()
    await require_postgres(url)
    await require_migrations(url)
    database = PostgresDatabase.create(url, pool_size=3, application_name="palpite-replay")
    console = Console(soft_wrap=True, highlight=False, markup=False)
    season, competition = named
    provider = OpenFootballProvider(folder or settings.openfootball_dir, replays_folder=settings.data / "replays")
    try:
        await patiently(partial(_require_processes, database), _START_SECONDS)
        player = Player(database, provider, settings.data / "replays", utc_now)
        starts_at = utc_now() + timedelta(seconds=starts_in)
        begun = await player.begin(competition, describe(season, starts_at=starts_at, speed=speed, folder=folder))
        console.print(f"ready {encode('Tournament', begun.tournament_id)}")
        for match in await player.play(begun):
            console.print(f"without a result: {match.home_label} - {match.away_label} ({match.round_slug})")
    finally:
        await database.close()


async def _require_processes(database: PostgresDatabase) -> None:
    """A replay only asks for work: without those who do it, it would wait for ever."""
    for problem in missing_processes(await read_status(database)):
        raise SetupError(problem)
