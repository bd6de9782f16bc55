"""Providers asked through their circuit breaker: by one worker, by two at once, over and over."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError

from domain.errors import DomainError
from domain.execution.model import ExecutionErrorCode
from domain.ingestion.breaker.model import BreakerState, ProviderState
from domain.ingestion.breaker.rules import POLICY, BreakerPolicy
from domain.ingestion.breaker.service import ask, read_states
from domain.ingestion.breaker.tables import provider_states
from domain.ingestion.errors import ProviderBlocked, ProviderNotFound, ProviderRefused, ProviderUnavailable
from domain.ingestion.snapshot import TournamentSnapshot
from domain.tournament.model import Provider
from runtime.database import PostgresDatabase
from tests.support.driven_provider import DrivenProvider
from tests.support.executions import until
from tests.support.openfootball import a_match, map_matches

NAME = Provider.OPENFOOTBALL


@pytest.fixture
def provider() -> DrivenProvider:
    return DrivenProvider(map_matches(a_match()).snapshot)


async def read(
    database: PostgresDatabase, provider: DrivenProvider, policy: BreakerPolicy = POLICY
) -> TournamentSnapshot:
    return await ask(
        database, NAME, lambda: provider.read("en.1", "2024-25", now=datetime(2026, 1, 1, tzinfo=UTC)), policy
    )


async def failing(database: PostgresDatabase, provider: DrivenProvider, failure: DomainError) -> None:
    provider.failure = failure
    with pytest.raises(type(failure)) as raised:
        await read(database, provider)
    assert raised.value is failure
    provider.failure = None


async def state_of(database: PostgresDatabase) -> ProviderState:
    (state,) = await read_states(database)
    return state


async def wait_is_over(database: PostgresDatabase) -> None:
    async with database.begin() as connection:
        await connection.execute(update(provider_states).values(retry_at=func.clock_timestamp()))


async def written_by(database: PostgresDatabase) -> str:
    """The transaction that wrote the provider's row last."""
    async with database.read() as connection:
        return str((await connection.execute(text("SELECT xmin::text FROM provider_states"))).scalar_one())


async def test_a_provider_that_was_never_asked_has_no_state(database: PostgresDatabase) -> None:
    assert await read_states(database) == []


async def test_good_data_come_through_and_a_second_reading_writes_nothing(
    database: PostgresDatabase, provider: DrivenProvider
) -> None:
    assert await read(database, provider) == provider.snapshots["en.1", "2024-25"]
    state = await state_of(database)
    assert state.breaker is BreakerState.CLOSED
    assert state.last_good_at is not None
    first = await written_by(database)
    await read(database, provider)
    assert await written_by(database) == first
    assert len(provider.asked) == 2


async def test_after_a_refusal_the_provider_is_left_alone_until_its_time(
    database: PostgresDatabase, provider: DrivenProvider
) -> None:
    await failing(database, provider, ProviderBlocked("403"))
    state = await state_of(database)
    assert state.retry_at is not None
    with pytest.raises(ProviderRefused) as refused:
        await read(database, provider)
    assert refused.value.code == "PROVIDER_BLOCKED"
    assert refused.value.message == (
        "OPENFOOTBALL is not asked at present (PROVIDER_BLOCKED); "
        f"it is tried again after {state.retry_at:%Y-%m-%d %H:%M:%S} UTC."
    )
    assert len(provider.asked) == 1

    await wait_is_over(database)
    await read(database, provider)
    state = await state_of(database)
    assert (state.breaker, state.reason, state.retry_at) == (BreakerState.CLOSED, None, None)


async def test_missing_answers_open_it_and_others_do_not(database: PostgresDatabase, provider: DrivenProvider) -> None:
    for _ in range(4):
        await failing(database, provider, ProviderUnavailable("no answer"))
    await failing(database, provider, ProviderNotFound("no such season"))
    for _ in range(5):
        assert (await state_of(database)).breaker is BreakerState.CLOSED
        await failing(database, provider, ProviderUnavailable("no answer"))
    state = await state_of(database)
    assert (state.breaker, state.reason) == (BreakerState.OPEN, ExecutionErrorCode.PROVIDER_UNAVAILABLE)


async def test_a_trial_that_fails_waits_twice_as_long(database: PostgresDatabase, provider: DrivenProvider) -> None:
    await failing(database, provider, ProviderBlocked("403"))
    await wait_is_over(database)
    await failing(database, provider, ProviderUnavailable("no answer"))
    async with database.read() as connection:
        left = (await connection.execute(select(provider_states.c.retry_at - func.clock_timestamp()))).scalar_one()
    assert timedelta(minutes=1) < left <= timedelta(minutes=2)


async def test_of_two_workers_at_once_one_goes_through(database: PostgresDatabase, provider: DrivenProvider) -> None:
    await failing(database, provider, ProviderBlocked("403"))
    await wait_is_over(database)

    async def one_has_asked() -> bool:
        return len(provider.asked) == 2

    async with provider.waiting():
        workers = [asyncio.create_task(read(database, provider)) for _ in range(8)]
        await until(one_has_asked, within=30)
        await until(lambda: _all_but_one_are_done(workers), within=30)
        assert (await state_of(database)).breaker is BreakerState.HALF_OPEN
    answers = await asyncio.gather(*workers, return_exceptions=True)
    assert sum(isinstance(answer, TournamentSnapshot) for answer in answers) == 1
    assert sum(isinstance(answer, ProviderRefused) for answer in answers) == 7
    assert len(provider.asked) == 2
    assert (await state_of(database)).breaker is BreakerState.CLOSED


async def test_a_trial_whose_worker_is_lost_gives_way(database: PostgresDatabase, provider: DrivenProvider) -> None:
    await failing(database, provider, ProviderBlocked("403"))
    await wait_is_over(database)
    async with provider.waiting():
        lost = asyncio.create_task(read(database, provider))
        await until(lambda: _is_half_open(database), within=30)
        lost.cancel()
        await asyncio.wait({lost})
    with pytest.raises(ProviderRefused):
        await read(database, provider)
    await wait_is_over(database)
    await read(database, provider)
    assert (await state_of(database)).breaker is BreakerState.CLOSED


async def test_the_table_keeps_to_what_a_state_may_be(database: PostgresDatabase) -> None:
    for values in ({"breaker": "OPEN"}, {"retry_at": func.clock_timestamp()}, {"breaker": "AJAR"}):
        with pytest.raises(IntegrityError):
            async with database.begin() as connection:
                await connection.execute(provider_states.insert().values(provider=NAME, **values))


async def _all_but_one_are_done(workers: list["asyncio.Task[TournamentSnapshot]"]) -> bool:
    return sum(worker.done() for worker in workers) == len(workers) - 1


async def _is_half_open(database: PostgresDatabase) -> bool:
    return (await state_of(database)).breaker is BreakerState.HALF_OPEN
