"""Where reports are fetched: from us when they lie in a folder, from S3 when they lie there."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from domain.clock import utc_now
from runtime.files import FileLinks
from runtime.object_store import open_store
from runtime.ports import free_port
from tests.support.api import Api, running_api
from tests.support.s3 import ENVIRONMENT, make_bucket, running_moto

KEY = "reports/0192/1.json"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with running_moto() as endpoint:
        yield endpoint


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["folder", "s3"])
async def api(request: pytest.FixtureRequest, database_url: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    chosen = {}
    if request.param == "s3":
        endpoint = request.getfixturevalue("moto")
        await make_bucket(endpoint, "palpite-reports")
        chosen = {"object_store": "s3://palpite-reports/prod", "s3_endpoint": endpoint}
    async with running_api(database_url, valkey_url, tmp_path, **chosen) as made:
        yield made


def links_of(api: Api) -> FileLinks:
    """Those of the API: they hang on its secret alone."""
    return FileLinks(api.settings.secret_key(), api.settings.public_url, utc_now)


async def fetch(api: Api, url: str) -> httpx2.Response:
    """As a browser does: to wherever it is sent."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=api.app)) as ours:
        answer = await ours.get(url)
    if answer.is_redirect:
        assert answer.headers["cache-control"] == "private, no-store"
        async with httpx2.AsyncClient() as theirs:
            return await theirs.get(answer.headers["location"])
    return answer


async def test_a_report_is_fetched_by_its_link(api: Api) -> None:
    async with open_store(api.settings) as store:
        await store.put(KEY, b'{"v": 1}', content_type="application/json")
    answer = await fetch(api, links_of(api).url(KEY))
    missing = await fetch(api, links_of(api).url("reports/0192/2.json"))
    forged = await fetch(api, links_of(api).url(KEY)[:-4] + "AAAA")

    assert (answer.status_code, answer.content) == (200, b'{"v": 1}')
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == 'attachment; filename="reports-0192-1.json"'
    assert forged.status_code == 404
    assert missing.status_code in {403, 404}  # S3 tells strangers either, by the rights of whoever signed


async def test_a_store_that_cannot_sign_is_said_to_be_away(
    database_url: str, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    endpoint = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    chosen = {"object_store": "s3://palpite-reports", "s3_endpoint": endpoint}
    async with running_api(database_url, valkey_url, tmp_path, **chosen) as api:
        answer = await fetch(api, links_of(api).url(KEY))

    assert (answer.status_code, answer.text) == (503, "The file cannot be fetched now; try again soon.")
