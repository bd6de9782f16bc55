"""Metrics against the database that they speak of, and against the page that lists them."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from sqlalchemy import insert

from domain.execution.model import ExecutionState, Operation, Target
from domain.execution.status.model import ProcessKind
from domain.ingestion.breaker.tables import provider_states
from domain.tournament.model import Provider
from runtime.metrics.meters import Metrics
from runtime.metrics.operations import OperationsMeters
from tests.support.football import make_tournament
from tests.support.operations import ago, put_dead_letter, put_ended, put_process, put_queued, put_running
from tests.support.statements import recorded_statements

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(palpite_\w+)` \| (\w+) \| ((?:`\w+` ?)*)\| \S.*\|$", re.MULTILINE)


def _meters(registry: CollectorRegistry) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Ours, by the name that Prometheus shows: kind and labels."""
    meters = [meter for meter in registry._collector_to_names if isinstance(meter, MetricWrapperBase)]
    return {
        meter._name + ("_total" if meter._type == "counter" else ""): (meter._type, tuple(meter._labelnames))
        for meter in meters
    }


def _values(text: str, name: str) -> dict[str, float]:
    """The samples of a metric, by their labels as they are written."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if re.match(rf"{name}[{{ ]", line)]
    return {sample.removeprefix(name).strip("{}"): float(value) for sample, value in lines}


def test_the_page_lists_every_metric_and_no_other() -> None:
    listed = {name: (kind, tuple(re.findall(r"\w+", labels))) for name, kind, labels in ROW.findall(PAGE.read_text())}

    assert listed == _meters(Metrics().registry)


def test_no_page_names_a_metric_that_is_not_there() -> None:
    pages = "".join(page.read_text() for page in PAGE.parent.rglob("*.md"))

    assert set(re.findall(r"\b(palpite_[a-z_]*[a-z])\b(?![(_])", pages)) == set(_meters(Metrics().registry))


async def test_the_gauges_say_what_the_database_says(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=4)
    targets = [Target(made.id, None, match) for match in made.matches]
    await put_queued(database, Operation.SETTLE_MATCH, targets[0], due=100)
    await put_queued(database, Operation.SETTLE_MATCH, targets[1], due=-600)
    await put_running(database, Operation.SETTLE_MATCH, targets[2])
    await put_dead_letter(database, Operation.INGEST_TEAMS)
    await put_ended(database, Operation.INGEST_TEAMS, tries=3)
    await put_ended(database, Operation.INGEST_ROUNDS, ExecutionState.CANCELLED, tries=2)
    await put_process(database, ProcessKind.WORKER, silent=0)
    await put_process(database, ProcessKind.SCHEDULER, silent=30)
    async with database.begin() as connection:
        values = {"provider": Provider.SOFASCORE, "breaker": "OPEN", "reason": "PROVIDER_BLOCKED", "retry_at": ago(-60)}
        await connection.execute(insert(provider_states).values(values))
    metrics = Metrics()

    await metrics.read(database)
    text = metrics.text().decode()

    of_matches = 'operation="SETTLE_MATCH"'
    assert _values(text, "palpite_queue_due") == {
        f'operation="{one}"': 1.0 * (one == "SETTLE_MATCH") for one in Operation
    }
    assert _values(text, "palpite_queue_waiting")[of_matches] == 1
    assert _values(text, "palpite_queue_in_progress")[of_matches] == 1
    assert 100 <= _values(text, "palpite_queue_oldest_seconds")[of_matches] < 160
    assert _values(text, "palpite_dead_letters_open")['operation="INGEST_TEAMS"'] == 1
    ended = {labels: value for labels, value in _values(text, "palpite_executions_ended_last_hour").items() if value}
    assert ended == {
        'operation="INGEST_TEAMS",state="completed"': 1,
        'operation="INGEST_TEAMS",state="failed"': 1,
        'operation="INGEST_ROUNDS",state="cancelled"': 1,
    }
    retries = {labels: value for labels, value in _values(text, "palpite_retries_last_hour").items() if value}
    assert retries == {'operation="INGEST_TEAMS"': 2, 'operation="INGEST_ROUNDS"': 1}
    assert _values(text, "palpite_workers") == {"": 1}
    assert 30 <= _values(text, "palpite_scheduler_age_seconds")[""] < 90
    assert _values(text, "palpite_provider_refused") == {'provider="SOFASCORE"': 1, 'provider="OPENFOOTBALL"': 0}
    assert _values(text, "palpite_scrape_failures_total") == {"": 0}


async def test_without_a_scheduler_its_age_has_no_end(database: "PostgresDatabase") -> None:
    metrics = Metrics()
    await metrics.read(database)

    assert "palpite_scheduler_age_seconds +Inf" in metrics.text().decode().splitlines()


@pytest.mark.parametrize("scrapes", [1, 20])
async def test_scrapes_of_one_second_share_a_reading(database: "PostgresDatabase", scrapes: int) -> None:
    now = 100.0
    registry = CollectorRegistry()
    meters = OperationsMeters(registry, clock=lambda: now)
    with recorded_statements(database) as statements:
        for _ in range(scrapes):
            await meters.read(database)
        first = len(statements)
        now += 1.0
        await put_process(database, ProcessKind.WORKER, silent=0)
        await meters.read(database)

    assert first == 6
    assert _values(generate_latest(registry).decode(), "palpite_workers") == {"": 1}
