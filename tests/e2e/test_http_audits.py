"""The public audits of GraphQL over HTTP, those of the npm package `graphql-http`, on a running API process."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from runtime.ports import free_port
from tests.support.node import NODE, with_packages
from tests.support.stage import HOST, Api

pytestmark = pytest.mark.timeout(240)

AUDIT = """
import { auditServer } from "graphql-http";
const results = await auditServer({ url: process.argv[2], fetchFn: fetch });
console.log(JSON.stringify(results.map(({ name, status, reason }) => ({ name, status, reason }))));
"""
AUDITS = 61


@pytest.fixture
async def address(database_url: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[str]:
    settings = {"DATABASE_URL": database_url, "REDIS_URL": valkey_url, "PALPITE_DATA": str(tmp_path)}
    api = Api(free_port(HOST), settings, tmp_path / "api.log")
    await api.open()
    yield f"http://{HOST}:{api.port}/graphql"
    await api.close()


async def test_every_audit_of_graphql_over_http_passes(address: str, tmp_path: Path) -> None:
    script = with_packages(tmp_path) / "audit.mjs"
    script.write_text(AUDIT)
    done = await asyncio.to_thread(
        subprocess.run, [NODE, str(script), address], capture_output=True, check=True, timeout=120
    )
    results: list[dict[str, Any]] = orjson.loads(done.stdout)

    assert [result for result in results if result["status"] != "ok"] == []
    assert len(results) == AUDITS
