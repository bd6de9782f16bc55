"""`palpite demo`."""

import asyncio
import shutil
import signal
from collections import deque
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from domain.clock import utc_now
from domain.leaderboard.model import BoardKey
from domain.leaderboard.service import Boards
from domain.member import service as member_service
from integrations.openfootball.provider import OpenFootballProvider
from integrations.openfootball.replay import MAX_SPREAD
from runtime.assets import ensure as ensure_assets
from runtime.database import PostgresDatabase
from runtime.demo.people import ADMIN, DOMAIN, FEWEST, MEMBERS, MOST, PASSWORD, PLAYER
from runtime.demo.stage import AT_ONCE, found_leagues, gather_people, set_stage
from runtime.embedded.lock import DataLock
from runtime.errors import SetupError
from runtime.installation import Installation
from runtime.outage import outlasting
from runtime.replay import Player, Replay, describe, parse_season, parse_speed
from runtime.settings import Settings, load_settings

SEASON = "2024-25/en.1"
WATCH = timedelta(minutes=15)
"""How long the season takes at the speed of the demo."""
LEAD = timedelta(seconds=5)
"""From the end of the set-up to the first kick-off."""
FAR = timedelta(days=1)
"""Where kick-offs stand during the set-up, however long it takes."""
TOP = 5
STEP_SIZE = 20
KEPT_LINES = 60
KEPT = ("assets", "browser")
"""What `--reset` leaves in the data folder: it was fetched, not made."""


def demo(
    *,
    season: str = SEASON,
    speed: str = "watch",
    once: bool = False,
    reset: bool = False,
    members: Annotated[int, Parameter(validator=Number(gte=FEWEST, lte=MOST))] = MEMBERS,
    port: int | None = None,
    data: Path | None = None,
) -> None:
    """Run everything with demo members and a replayed season.

    It runs until Ctrl-C, which is exit code 0. The data stay: the next start goes on with the season, or begins it anew
    when it is over.

    Example: `palpite demo --speed max --once`

    Parameters
    ----------
    season
        SEASON/COMPETITION of the season that is played; 2022/worldcup is there too.
    speed
        watch plays it in a quarter of an hour, max in a minute; a number is how many times faster than life.
    once
        End when the season is over, with its final top 5.
    reset
        Remove what earlier demos left in the data folder first.
    members
        How many people play, 10 to 236.
    port
        The port of the API (PALPITE_PORT); 0 takes a free one.
    data
        The data folder (PALPITE_DATA).
    """
    settings = load_settings(port=port, data=data, demo=True)
    if reset:
        _reset(settings)
    asyncio.run(_Demo(settings, parse_season(season), speed, members=members, once=once).run())


class _Demo:
    """One run of the demo, from the first server to the last whistle."""

    def __init__(self, settings: Settings, named: tuple[str, str], speed: str, *, members: int, once: bool) -> None:
        self._season, self._competition = named
        self._pace = (None, WATCH) if speed == "watch" else (parse_speed(speed), MAX_SPREAD)
        self._members = members
        self._once = once
        self._console = Console(highlight=False, markup=False, soft_wrap=True)
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._installation = Installation(settings, self._note)

    async def run(self) -> None:
        work = asyncio.create_task(self._work())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
        try:
            await work
        except asyncio.CancelledError:
            return
        except BaseException:
            self._console.print(*self._lines, sep="\n")
            raise
        finally:
            await self._installation.stop()

    def _note(self, name: str, line: str) -> None:
        """Output of the processes: kept for the case that something fails; shown is only what becomes of them."""
        self._lines.append(f"{name:<9} | {line}")
        if name == "up":
            self._console.print(line)

    async def _work(self) -> None:
        with Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), console=self._console
        ) as progress:
            bar = _Bar(progress, self._members)
            settings = self._installation.settings
            await asyncio.to_thread(ensure_assets, settings.data, settings.assets)
            bar.step("Starting the servers")
            await self._installation.start()
            settings = self._installation.settings
            database = PostgresDatabase.create(
                settings.required_database_url(), pool_size=AT_ONCE + 2, application_name="palpite-demo"
            )
            replays = settings.data / "replays"
            provider = OpenFootballProvider(settings.openfootball_dir, replays_folder=replays)
            player = Player(database, provider, replays, utc_now)
            replay = await self._prepare(database, player, bar)
        try:
            self._tell(replay)
            await self._play(database, player, replay)
        finally:
            await database.close()

    async def _prepare(self, database: PostgresDatabase, player: Player, bar: "_Bar") -> Replay:
        """The replay that goes on, or a new one with all its guesses saved."""
        bar.step("Gathering the players")
        cast = await gather_people(database, self._members)
        bar.step("Ingesting the season")
        replay = await player.last(self._competition, self._season)
        if replay is None:
            speed, spread = self._pace
            description = describe(self._season, starts_at=utc_now() + FAR, speed=speed, spread=spread)
            replay = await player.begin(self._competition, description)
        if replay.plan.starts_at <= utc_now() + FAR / 2:
            return replay
        bar.step("Saving guesses")
        await set_stage(database, cast, replay, bar.member)
        bar.step("Founding leagues")
        await found_leagues(database, cast, replay.tournament_id, replay.season)
        return await player.reschedule(replay, utc_now() + LEAD)

    def _tell(self, replay: Replay) -> None:
        address = self._installation.address
        played = replay.plan.snapshot
        self._console.print(
            f"""
Palpite is running, and {played.label} {played.season_label.partition(" (")[0]} is being replayed.

  Live board   {address}/live
  GraphiQL     {address}/graphiql
  Health       {address}/readyz

  Sign in as   {PLAYER} (plays) or {ADMIN} (runs the platform): buttons on {address}
               or by password: {PLAYER}@{DOMAIN} / {PASSWORD}, {ADMIN}@{DOMAIN} / {PASSWORD}

  Ctrl-C stops it. Data stay in {self._installation.settings.data}; run it again to go on.
  Start over: make demo ARGS=--reset    Port taken: PALPITE_PORT=8001 make demo
"""
        )

    async def _play(self, database: PostgresDatabase, player: Player, replay: Replay) -> None:
        watch = asyncio.create_task(self._installation.watch())
        try:
            without_result = await player.play(replay)
            for match in without_result:
                self._console.print(f"without a result: {match.home_label} - {match.away_label}")
            await outlasting(partial(self._final, database, replay))
            if not self._once:
                self._console.print("\nThe pages stay up until Ctrl-C; the next start plays a new season.")
                await watch
        finally:
            watch.cancel()

    async def _final(self, database: PostgresDatabase, replay: Replay) -> None:
        board = await Boards(database, None, utc_now).open(BoardKey(tournament_id=replay.tournament_id))
        if board is None:
            raise SetupError("The tournament of the demo is gone.")
        rows = await board.window(TOP)
        names = await member_service.read_members(database, [row.member_id for row in rows])
        self._console.print(f"The season is over. Final top {TOP}:")
        for row in rows:
            self._console.print(f"{row.rank:>4}  {names[row.member_id].nick_name:<20} {row.points:>5} points")


class _Bar:
    """The one progress bar of the set-up: a part for each step, and one for each member whose guesses are saved."""

    STEPS = 5

    def __init__(self, progress: Progress, members: int) -> None:
        self._progress = progress
        self._task = progress.add_task("Fetching the web pages", total=self.STEPS * STEP_SIZE + members)

    def step(self, name: str) -> None:
        self._progress.update(self._task, advance=STEP_SIZE, description=name)

    def member(self) -> None:
        self._progress.update(self._task, advance=1)


def _reset(settings: Settings) -> None:
    """Remove what a demo made, unless one is running."""
    lock = DataLock(settings.data)
    if not lock.try_acquire():
        raise SetupError(f"A Palpite (process {lock.holder()}) runs on {settings.data}: stop it before --reset.")
    try:
        for path in settings.data.iterdir():
            if path.name.startswith(KEPT):
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        lock.release()
