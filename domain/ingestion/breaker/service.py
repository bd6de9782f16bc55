"""Asks a provider through its circuit breaker. The state is in the database: all workers keep to it."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from domain.database import Database
from domain.errors import DomainError
from domain.execution.model import ExecutionErrorCode
from domain.ingestion.breaker import rules, store
from domain.ingestion.breaker.model import BreakerState, ProviderState
from domain.ingestion.breaker.rules import POLICY, BreakerPolicy
from domain.ingestion.errors import (
    ProviderBadData,
    ProviderBlocked,
    ProviderNotFound,
    ProviderRefused,
    ProviderUnavailable,
)
from domain.tournament.model import Provider

_log = logging.getLogger(__name__)
T = TypeVar("T")


async def ask(
    database: Database, provider: Provider, request: Callable[[], Awaitable[T]], policy: BreakerPolicy = POLICY
) -> T:
    """What `request` gets from the provider, unless the breaker is open.

    Raises ProviderRefused without asking, and what the request raises.
    """
    admitted = await _admit(database, provider, policy)
    try:
        answer = await request()
    except (ProviderBlocked, ProviderUnavailable) as error:
        await _note_failure(database, admitted, error, policy)
        raise
    except (ProviderNotFound, ProviderBadData):
        await _note(database, admitted, lambda state, _: rules.after_answer(state, admitted))
        raise
    await _note(database, admitted, lambda state, now: rules.after_good_data(state, admitted, policy, now))
    return answer


async def read_states(database: Database) -> list[ProviderState]:
    """Every provider that was ever asked, by name."""
    async with database.read() as connection:
        return await store.read_all(connection)


async def _admit(database: Database, provider: Provider, policy: BreakerPolicy) -> ProviderState:
    async with database.read() as connection:
        state, now = await store.read(connection, provider)
    if state.breaker is BreakerState.CLOSED:
        return state
    if rules.admit(state, policy, now) is None:
        raise _refusal(state)
    async with database.begin() as connection:
        state, now = await store.take(connection, provider)
        admitted = rules.admit(state, policy, now)
        if admitted is None:
            raise _refusal(state)
        if admitted != state:
            await store.write(connection, admitted)
            _log.info("provider_tried: provider=%s", provider.value)
    return admitted


async def _note_failure(database: Database, admitted: ProviderState, error: DomainError, policy: BreakerPolicy) -> None:
    code = ExecutionErrorCode(error.code)
    await _note(database, admitted, lambda state, now: rules.after_failure(state, admitted, code, policy, now))


async def _note(
    database: Database, admitted: ProviderState, step: Callable[[ProviderState, datetime], ProviderState]
) -> None:
    """Take a step of the state machine; what would change nothing takes no lock."""
    async with database.read() as connection:
        state, now = await store.read(connection, admitted.provider)
    if step(state, now) == state:
        return
    async with database.begin() as connection:
        state, now = await store.take(connection, admitted.provider)
        changed = step(state, now)
        if changed != state:
            await store.write(connection, changed)
    _tell(state, changed)


def _tell(before: ProviderState, after: ProviderState) -> None:
    if after.breaker is before.breaker:
        return
    reason = f" reason={after.reason} retry_at={after.retry_at:%Y-%m-%dT%H:%M:%SZ}" if after.retry_at else ""
    level = logging.WARNING if after.breaker is BreakerState.OPEN else logging.INFO
    _log.log(level, "breaker_%s: provider=%s%s", after.breaker.lower(), after.provider.value, reason)


def _refusal(state: ProviderState) -> ProviderRefused:
    when = f"{state.retry_at:%Y-%m-%d %H:%M:%S} UTC" if state.retry_at else "later"
    return ProviderRefused(
        f"{state.provider.value} is not asked at present ({state.reason}); it is tried again after {when}."
    )
