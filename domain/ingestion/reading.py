"""Reads tournaments from their providers, each through its circuit breaker, and applies what was read."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from domain.clock import Clock
from domain.database import Database
from domain.errors import DomainError
from domain.execution.run import Run, Step
from domain.ids import TournamentId
from domain.ingestion import store
from domain.ingestion.breaker import service as breaker
from domain.ingestion.errors import PrerequisiteMissing, ProviderRefused
from domain.ingestion.model import Reading
from domain.ingestion.ports import Provider
from domain.ingestion.snapshot import TournamentSnapshot
from domain.tournament.model import Provider as ProviderName
from domain.tournament.model import TournamentMode

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

Providers: TypeAlias = Mapping[ProviderName, Provider]
Apply: TypeAlias = "Callable[[AsyncConnection, Step, Reading], Awaitable[None]]"


@dataclass(frozen=True, slots=True)
class Source:
    """A tournament of ours, and where its data come from."""

    id: TournamentId
    label: str
    mode: TournamentMode
    provider: ProviderName
    competition: str
    season: str
    time_zone: str | None


async def targets(run: Run) -> list[Source]:
    """The tournament that the execution names, or all that are not over."""
    named = run.execution.target.tournament_id
    async with run.database.read() as connection:
        ids = [named] if named is not None else await store.active_tournaments(connection)
        rows = [await store.read_tournament(connection, tournament_id) for tournament_id in ids]
    return [
        Source(
            id=TournamentId(row["id"]),
            label=row["label"],
            mode=TournamentMode(row["mode"]),
            provider=ProviderName(row["provider"]),
            competition=row["competition"],
            season=row["provider_season"],
            time_zone=row["time_zone"],
        )
        for row in rows
    ]


async def ask(
    database: Database,
    providers: Providers,
    clock: Clock,
    name: ProviderName,
    competition: str,
    season: str,
    time_zone: str | None,
) -> TournamentSnapshot:
    """The tournament as its provider tells it now: the one way by which a provider is asked.

    Raises PrerequisiteMissing for a provider that is not set up, ProviderRefused, and what providers raise.
    """
    if name not in providers:
        raise PrerequisiteMissing(f"The provider {name} is not set up here.")
    provider = providers[name]
    return await breaker.ask(
        database, name, lambda: provider.read(competition, season, now=clock(), time_zone=time_zone)
    )


async def read(run: Run, providers: Providers, clock: Clock, source: Source, step: Step) -> Reading:
    """A reading of a tournament; items that were left out are told in the step."""
    read_at = clock()
    snapshot = await ask(
        run.database, providers, clock, source.provider, source.competition, source.season, source.time_zone
    )
    reject(step, snapshot)
    return Reading(source.id, snapshot, read_at, run.execution.request_id, providers[source.provider].gate)


async def for_each(
    run: Run,
    providers: Providers,
    clock: Clock,
    what: str,
    apply: Apply,
    sources: Sequence[Source],
    *,
    may_be_refused: bool = False,
) -> None:
    """Read and apply each tournament in a step of its own, as `one_by_one` does.

    `may_be_refused`: an open circuit breaker is reported and is no failure.
    """

    async def one(source: Source) -> None:
        async with run.step(step_name(what, source, sources)) as step:
            await _read_and_apply(run, providers, clock, source, step, apply, may_be_refused=may_be_refused)

    await one_by_one(sources, one)


async def one_by_one(sources: Sequence[Source], work: Callable[[Source], Awaitable[None]]) -> None:
    """Work on all of them, whichever fail; then raise what failed, first what another try may cure."""
    failures: list[DomainError] = []
    for source in sources:
        try:
            await work(source)
        except DomainError as error:
            failures.append(error)
    if failures:
        raise next((error for error in failures if error.retryable), failures[0])


def step_name(what: str, source: Source, sources: Sequence[Source]) -> str:
    """What a step does, and to which tournament when there are several."""
    return what if len(sources) == 1 else f"{what} of {source.label}"


def reject(step: Step, snapshot: TournamentSnapshot) -> None:
    """Tell which items the provider's data were left out."""
    for rejection in snapshot.rejections:
        place = rejection.file if rejection.index is None else f"{rejection.file}, item {rejection.index}"
        step.reject(f"{place}: {rejection.reason}")


async def _read_and_apply(
    run: Run, providers: Providers, clock: Clock, source: Source, step: Step, apply: Apply, *, may_be_refused: bool
) -> None:
    try:
        reading = await read(run, providers, clock, source, step)
    except ProviderRefused as refusal:
        if not may_be_refused:
            raise
        step.reject(refusal.message)
        return
    async with run.begin() as connection:
        await apply(connection, step, reading)
    if not (step.created or step.updated or step.note):
        step.note = "Nothing changed."
