"""Owns /healthz (is the process alive) and /readyz (can it do its work, and what is missing)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.errors import SetupError
from runtime.revision import require_head

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from domain.database import Database

# Ends without an exception when all is well; the text of the exception never leaves the process.
Check = Callable[[], Awaitable[None]]

_PROBE, _PROBE_SECONDS = "palpite:ready", 60
_NO_STORE = {"cache-control": "no-store"}


class NotReadyError(Exception):
    """A check failed; its text is shown to whoever asks, so it names no secret."""


def health_routes(checks: Mapping[str, Check], *, timeout: float = 2.0) -> list[Route]:
    """The two routes; each check has `timeout` seconds."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=_NO_STORE)

    async def readyz(_: Request) -> Response:
        answers = await asyncio.gather(*(_answer(check, timeout) for check in checks.values()))
        ready = all(answer == "ok" for answer in answers)
        body = {"status": "ready" if ready else "not ready", "checks": dict(zip(checks, answers, strict=True))}
        return JSONResponse(body, status_code=200 if ready else 503, headers=_NO_STORE)

    return [Route("/healthz", healthz, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]


def readiness_checks(database: "Database", valkey: "Redis", is_reader_alive: Callable[[], bool]) -> dict[str, Check]:
    """What an API process needs: Postgres at our revision, a Valkey that takes writes, and a living pub/sub reader."""

    async def postgres() -> None:
        await require_head(database)

    async def valkey_stores() -> None:
        await valkey.set(_PROBE, b"", ex=_PROBE_SECONDS)  # PING says PONG when the memory is full, too

    async def pubsub() -> None:
        if not is_reader_alive():
            raise NotReadyError("the pub/sub reader is not connected")

    return {"postgres": postgres, "valkey": valkey_stores, "pubsub": pubsub}


async def _answer(check: Check, timeout: float) -> str:
    try:
        async with asyncio.timeout(timeout):
            await check()
    except TimeoutError:
        return f"no answer within {timeout:g} s"
    except (SetupError, NotReadyError) as problem:
        return str(problem)
    except Exception as problem:  # noqa: BLE001 -- an edge: whatever is wrong, the answer is "not ready"
        return f"unreachable ({type(problem).__name__})"
    return "ok"
