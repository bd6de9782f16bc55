"""SQL of breakers."""

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, literal, select, true, update
from sqlalchemy.dialects.postgresql import insert

from domain.execution.model import ExecutionErrorCode
from domain.ingestion.breaker.model import BreakerState, ProviderState
from domain.ingestion.breaker.tables import provider_states
from domain.tournament.model import Provider

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def read(connection: "AsyncConnection", provider: Provider) -> tuple[ProviderState, datetime]:
    """The state of a provider, and the present instant by the database's clock."""
    known = select(provider_states).where(provider_states.c.provider == provider).subquery()
    always = select(literal(1).label("one")).subquery()
    statement = select(func.clock_timestamp().label("now"), known).select_from(always.outerjoin(known, true()))
    row = (await connection.execute(statement)).one()
    return (_state(row) if row.provider is not None else ProviderState(provider)), row.now


async def read_all(connection: "AsyncConnection") -> list[ProviderState]:
    """Of every provider that was ever asked, by name."""
    rows = await connection.execute(select(provider_states).order_by(provider_states.c.provider))
    return [_state(row) for row in rows]


async def take(connection: "AsyncConnection", provider: Provider) -> tuple[ProviderState, datetime]:
    """As `read`, and nobody else changes it before our commit."""
    await connection.execute(insert(provider_states).values(provider=provider).on_conflict_do_nothing())
    statement = select(provider_states).where(provider_states.c.provider == provider).with_for_update()
    row = (await connection.execute(statement)).one()
    # Asked when the lock is had: a clock read before may lie behind what another one has written meanwhile.
    now: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return _state(row), now


async def write(connection: "AsyncConnection", state: ProviderState) -> None:
    """Keep the state of a provider that was taken."""
    values = asdict(state)
    del values["provider"]
    await connection.execute(update(provider_states).where(provider_states.c.provider == state.provider).values(values))


def _state(row: Any) -> ProviderState:
    return ProviderState(
        provider=Provider(row.provider),
        breaker=BreakerState(row.breaker),
        reason=ExecutionErrorCode(row.reason) if row.reason else None,
        retry_at=row.retry_at,
        last_good_at=row.last_good_at,
        failures=row.failures,
        openings=row.openings,
    )
