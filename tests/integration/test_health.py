"""Health, readiness and metrics over real servers: what is missing is named, and nothing private with it."""

from typing import TYPE_CHECKING

import httpx2
from prometheus_client import generate_latest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.testclient import TestClient

from domain.outbox.model import Topic
from domain.outbox.store import put_many
from runtime.database import PostgresDatabase
from runtime.health import health_routes, readiness_checks
from runtime.metrics.http import CountRequests, metrics_route
from runtime.metrics.meters import Metrics
from runtime.revision import head_revision

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

NOWHERE = "postgresql://me:hidden@127.0.0.1:1/name"


async def _answer(routes: "list[BaseRoute]", path: str) -> tuple[int, dict[str, object]]:
    async with _client(Starlette(routes=routes)) as client:
        answer = await client.get(path)
        return answer.status_code, answer.json()


def _client(app: object) -> "httpx2.AsyncClient":
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://test")


async def test_ready_when_everything_is_there(database: PostgresDatabase, valkey: Redis) -> None:
    routes = health_routes(readiness_checks(database, valkey, lambda: True))

    assert await _answer([*routes], "/healthz") == (200, {"status": "ok"})
    assert await _answer([*routes], "/readyz") == (
        200,
        {"status": "ready", "checks": {"postgres": "ok", "valkey": "ok", "pubsub": "ok"}},
    )


async def test_not_ready_says_what_is_missing(empty_database_url: str) -> None:
    database = PostgresDatabase.create(empty_database_url)
    nowhere = Redis.from_url("redis://:hidden@127.0.0.1:1/0")
    routes = health_routes(readiness_checks(database, nowhere, lambda: False))

    assert await _answer([*routes], "/healthz") == (200, {"status": "ok"})
    assert await _answer([*routes], "/readyz") == (
        503,
        {
            "status": "not ready",
            "checks": {
                "postgres": f"The database is at revision none and this Palpite needs {head_revision()}: "
                "run `palpite db upgrade`.",
                "valkey": "unreachable (ConnectionError)",
                "pubsub": "the pub/sub reader is not connected",
            },
        },
    )
    await database.close()
    await nowhere.aclose()


async def test_an_unreachable_database_is_named_without_its_password(valkey: Redis) -> None:
    database = PostgresDatabase.create(NOWHERE)
    status, body = await _answer([*health_routes(readiness_checks(database, valkey, lambda: True))], "/readyz")

    assert status == 503
    assert body["checks"] == {"postgres": "unreachable (ConnectionRefusedError)", "valkey": "ok", "pubsub": "ok"}
    assert "hidden" not in str(body)


async def test_metrics_count_requests_and_read_the_database(database: PostgresDatabase) -> None:
    metrics = Metrics()
    app = CountRequests(Starlette(routes=[*health_routes({}), metrics_route(metrics, database)]), metrics)
    async with database.begin() as connection:
        await put_many(connection, [(Topic.MEMBERS, {"n": 1}), (Topic.MEMBERS, {"n": 2})])
    async with _client(app) as client:
        for path in ("/healthz", "/healthz", "/no/such/page", "/wp-admin"):
            await client.get(path)
        lines = (await client.get("/metrics")).text.splitlines()

    assert 'palpite_http_requests_total{method="GET",path="/healthz",status="200"} 2.0' in lines
    assert 'palpite_http_requests_total{method="GET",path="other",status="404"} 2.0' in lines
    assert "palpite_outbox_backlog 2.0" in lines
    assert "palpite_settlement_lag_seconds 0.0" in lines
    assert "palpite_scrape_failures_total 0.0" in lines


async def test_metrics_answer_without_a_database() -> None:
    metrics = Metrics()
    async with _client(Starlette(routes=[metrics_route(metrics, PostgresDatabase.create(NOWHERE))])) as client:
        answer = await client.get("/metrics")

    assert answer.status_code == 200
    assert "palpite_scrape_failures_total 1.0" in answer.text.splitlines()


def test_an_open_socket_is_counted_until_it_closes() -> None:
    metrics = Metrics()

    async def app(_scope: object, receive: object, send: object) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    sockets = metrics.registry.restricted_registry(["palpite_websockets"])
    with TestClient(CountRequests(app, metrics)).websocket_connect("/graphql"):
        assert "palpite_websockets 1.0" in generate_latest(sockets).decode().splitlines()
    assert "palpite_websockets 0.0" in generate_latest(sockets).decode().splitlines()
