"""The operations of ingestion: each reads a provider's snapshot, and applies one part of it, whole or not at all.

A second reading of the same snapshot writes no row of rounds, teams, matches or standings.
"""

from functools import partial
from typing import TYPE_CHECKING

from domain.clock import Clock
from domain.execution.run import Run, Step
from domain.ids import MatchId, RoundId
from domain.ingestion import store
from domain.ingestion.lookout import rules as lookout
from domain.ingestion.lookout import store as lookouts
from domain.ingestion.matches import apply_matches
from domain.ingestion.model import Reading
from domain.ingestion.parts import apply_rounds, apply_standings, apply_teams, apply_tournament
from domain.ingestion.progress import sync_round
from domain.ingestion.reading import Providers, Source, ask, for_each, one_by_one, read, reject, step_name, targets
from domain.ingestion.scope import KNOWN, Scope
from domain.tournament.model import Provider as ProviderName
from domain.tournament.model import TournamentMode
from domain.tournament.store import raise_versions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def ingest_tournament(run: Run, providers: Providers, clock: Clock) -> None:
    """Create or update the tournament of a source; `params` are those of the contract's IngestTournamentInput."""
    params = run.execution.params
    name = ProviderName(params["provider"])
    async with run.step("Read the provider") as step:
        snapshot = await ask(
            run.database, providers, clock, name, params["competition"], params["season"], params.get("timeZone")
        )
        reject(step, snapshot)
    async with run.step("Tournament", total=1) as step, run.begin() as connection:
        tournament_id = await apply_tournament(connection, step, snapshot, params)
        await store.name_target(connection, run.execution.id, tournament_id)


async def ingest_rounds(run: Run, providers: Providers, clock: Clock) -> None:
    await for_each(run, providers, clock, "Rounds", apply_rounds, await targets(run))


async def ingest_teams(run: Run, providers: Providers, clock: Clock) -> None:
    await for_each(run, providers, clock, "Teams", apply_teams, await targets(run))


async def ingest_matches(run: Run, providers: Providers, clock: Clock) -> None:
    await for_each(run, providers, clock, "Matches", apply_matches, await targets(run))


async def ingest_standings(run: Run, providers: Providers, clock: Clock) -> None:
    await for_each(run, providers, clock, "Team table", apply_standings, await targets(run))


async def ingest_round_matches(run: Run, providers: Providers, clock: Clock, round_id: RoundId) -> None:
    """Create and update the matches of one round, those included that have left it or come into it."""
    sources = await targets(run)
    async with run.database.read() as connection:
        rounds = await store.read_rounds(connection, sources[0].id)
    slugs = frozenset(slug for slug, row in rounds.items() if row["id"] == round_id)
    await for_each(run, providers, clock, "Matches", partial(apply_matches, scope=Scope(rounds=slugs)), sources)


async def ingest_match(run: Run, providers: Providers, clock: Clock, match_id: MatchId) -> None:
    """Update one match."""
    apply = partial(apply_matches, scope=Scope(match_id=match_id))
    await for_each(run, providers, clock, "Match", apply, await targets(run))


async def poll_open_matches(run: Run, providers: Providers, clock: Clock) -> None:
    """Update what is stored of seasons with a match that should be in play or has just ended; each is read once.

    Matches that are new are left to the other operations. A provider whose breaker is open is reported, no failure.
    """
    async with run.database.read() as connection:
        numbers = await lookouts.open_matches(connection, run.execution.target.tournament_id)
    sources = [source for source in await targets(run) if source.id in numbers] if numbers else []
    if not sources:
        async with run.step("Open matches", total=0) as step:
            step.note = "No match is open."

    async def apply(connection: "AsyncConnection", step: Step, reading: Reading) -> None:
        step.note = f"Open matches: {numbers[reading.tournament_id]}."
        await apply_matches(connection, step, reading, KNOWN)

    await for_each(run, providers, clock, "Open matches", apply, sources, may_be_refused=True)


async def ingest_knockout_rounds(run: Run, providers: Providers, clock: Clock) -> None:
    """Find knockout rounds that appeared, with their teams and matches, in tournaments that may have any."""
    sources = [source for source in await targets(run) if source.mode is not TournamentMode.REGULAR_SEASON]
    if not sources:
        async with run.step("Look for knockout rounds", total=0) as step:
            step.note = "No tournament with knockout rounds."
    await one_by_one(sources, partial(_find_knockout_rounds, run, providers, clock, sources))


async def sync_current_round(run: Run) -> None:
    for source in await targets(run):
        async with run.step("Current round", total=1) as step, run.begin() as connection:
            moved = await sync_round(connection, source.id)
            if moved:
                # Ranks are compared with those at the beginning of the round.
                await raise_versions(connection, source.id, board=True)
            step.updated, step.unchanged = (1, 0) if moved else (0, 1)


async def _find_knockout_rounds(
    run: Run, providers: Providers, clock: Clock, sources: list[Source], source: Source
) -> None:
    async with run.step(step_name("Look for knockout rounds", source, sources)) as step:
        reading = await read(run, providers, clock, source, step)
        async with run.database.read() as connection:
            rounds = await store.read_rounds(connection, source.id)
            matches, undrawn = await lookouts.stored_keys(connection, source.provider, source.id)
        appeared = lookout.appeared(reading.snapshot, rounds, matches, undrawn)
        step.note = f"Appeared: {', '.join(sorted(appeared))}." if appeared else "No round has appeared."
    if not appeared:
        return
    teams = lookout.teams_of(reading.snapshot, appeared)
    for what, apply in (
        ("Rounds", partial(apply_rounds, only=appeared)),
        ("Teams", partial(apply_teams, only=teams)),
        ("Matches", partial(apply_matches, scope=Scope(rounds=appeared))),
    ):
        async with run.step(step_name(what, source, sources)) as step, run.begin() as connection:
            await apply(connection, step, reading)
