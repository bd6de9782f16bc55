"""What every object store does, and what S3 does beyond that."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from domain.execution.ports import ObjectStore
from integrations.object_store import s3
from integrations.object_store.folder import FolderStore
from integrations.object_store.s3 import Bucket, open_s3
from runtime.ports import free_port
from tests.support.executions import until
from tests.support.palpite import REPOSITORY
from tests.support.s3 import ENVIRONMENT, make_bucket, running_moto, running_nanio

KEY = "reports/one/1.json"
JSON = "application/json"
KINDS = ("folder", "moto", "nanio")


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with running_moto() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def nanio() -> Iterator[str]:
    with running_nanio() as endpoint:
        yield endpoint


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


async def new_bucket(endpoint: str) -> Bucket:
    name = f"palpite-{uuid4().hex}"
    await make_bucket(endpoint, name)
    return Bucket(name, "some/folder", endpoint)


@pytest.fixture(params=KINDS)
async def store(
    request: pytest.FixtureRequest,
    credentials: None,  # noqa: ARG001 they must be there
    tmp_path: Path,
) -> AsyncIterator[ObjectStore]:
    if request.param == "folder":
        yield FolderStore(tmp_path / "files")
        return
    async with open_s3(await new_bucket(request.getfixturevalue(request.param))) as bucket:
        yield bucket


once_only = pytest.mark.parametrize("store", ["folder", "moto"], indirect=True)
"""nanio overwrites; the keys of reports never meet, so a store may."""


async def test_what_is_put_can_be_got(store: ObjectStore) -> None:
    assert await store.put(KEY, b"\x00 content", content_type=JSON)
    assert await store.get(KEY) == b"\x00 content"
    assert await store.get("reports/one/2.json") is None
    assert await store.get("reports/one/1.json/below") is None


@once_only
async def test_a_key_is_written_once(store: ObjectStore) -> None:
    assert await store.put(KEY, b"first", content_type=JSON)
    assert not await store.put(KEY, b"second", content_type=JSON)
    assert await store.get(KEY) == b"first"


@once_only
async def test_of_many_writers_at_once_one_wins(store: ObjectStore) -> None:
    contents = [str(number).encode() * 10_000 for number in range(20)]
    won = await asyncio.gather(*(store.put(KEY, content, content_type=JSON) for content in contents))

    assert sum(won) == 1
    assert await store.get(KEY) == contents[won.index(True)]


async def test_what_is_deleted_is_gone_and_once_more_is_harmless(store: ObjectStore) -> None:
    other = "reports/one/2.json"
    for key in (KEY, other):
        assert await store.put(key, b"content", content_type=JSON)
    for _ in range(2):
        await store.delete(KEY)
        assert await store.get(KEY) is None
    assert await store.get(other) == b"content"
    await store.delete(other)
    await store.delete("reports/one/1.json/below")
    assert await store.put(KEY, b"again", content_type=JSON)


@pytest.mark.parametrize("store", ["folder"], indirect=True)
async def test_nothing_is_left_beside_the_files(store: ObjectStore, tmp_path: Path) -> None:
    await store.put(KEY, b"first", content_type=JSON)
    await store.put(KEY, b"second", content_type=JSON)

    files = await asyncio.to_thread(lambda: [path.name for path in tmp_path.rglob("*") if path.is_file()])
    assert files == ["1.json"]


KILLED = """
import os, pathlib, sys
from integrations.object_store import s3
from integrations.object_store.folder import FolderStore
os.fsync = lambda _: os.kill(os.getpid(), 9)
FolderStore(pathlib.Path(sys.argv[1]))._put(sys.argv[2], b"of a member")
"""


@pytest.mark.parametrize("store", ["folder"], indirect=True)
async def test_what_a_killed_writer_left_goes_with_the_file(store: ObjectStore, tmp_path: Path) -> None:
    root = tmp_path / "files"
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(root), KEY, cwd=REPOSITORY)
    assert await killed.wait() == -signal.SIGKILL
    (left,) = await asyncio.to_thread(lambda: [path for path in root.rglob("*") if path.is_file()])
    assert left.parent == (root / KEY).parent

    await store.put(KEY, b"by the next try", content_type=JSON)
    await store.delete(KEY)

    assert not left.parent.exists()


async def test_keys_stay_inside(store: ObjectStore) -> None:
    for key in ("", "..", "../secret", "a/../../secret", "/etc/passwd", "a\0b"):
        for call in (
            store.get(key),
            store.put(key, b"", content_type=JSON),
            store.delete(key),
            store.address(key, name="x", seconds=60),
        ):
            with pytest.raises(ValueError, match="no key"):
                await call


async def test_a_store_that_cannot_write_says_so(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("no folder")
    with pytest.raises(OSError, match="files"):
        await FolderStore(tmp_path / "files").put(KEY, b"", content_type=JSON)


async def test_a_folder_hands_out_nothing_itself(tmp_path: Path) -> None:
    assert await FolderStore(tmp_path).address(KEY, name="report.json", seconds=60) is None


async def fetched(address: str) -> httpx2.Response:
    async with httpx2.AsyncClient() as client:
        return await client.get(address)


@pytest.mark.usefixtures("credentials")
async def test_s3_hands_out_a_file_with_its_type_under_a_name(moto: str) -> None:
    async with open_s3(await new_bucket(moto)) as store:
        await store.put(KEY, b"{}", content_type=JSON)
        address = await store.address(KEY, name="report.json", seconds=60)
        assert address is not None
        answer = await fetched(address)

    assert (answer.status_code, answer.content) == (200, b"{}")
    assert answer.headers["content-type"] == JSON
    assert answer.headers["content-disposition"] == 'attachment; filename="report.json"'


@pytest.mark.usefixtures("credentials")
async def test_an_address_of_s3_is_for_one_file_and_a_short_time(nanio: str) -> None:
    other = "reports/one/2.json"
    async with open_s3(await new_bucket(nanio)) as store:
        for key in (KEY, other):
            await store.put(key, key.encode(), content_type=JSON)
        address = await store.address(KEY, name="report.json", seconds=60)
        brief = await store.address(KEY, name="report.json", seconds=1)
        assert address is not None
        assert brief is not None
        bare = address.partition("?")[0]
        answers = [(await fetched(one)).status_code for one in (address, bare, address.replace("1.json", "2.json"))]

        async def has_expired() -> bool:
            return (await fetched(brief)).status_code == 403

        await until(has_expired, within=30)

    assert answers == [200, 403, 403]


async def refusals(store: ObjectStore) -> list[str]:
    """What is said for each thing that a store is asked."""
    said = []
    for call in (store.put(KEY, b"", content_type=JSON), store.get(KEY), store.delete(KEY)):
        with pytest.raises(OSError, match="the file cannot be") as problem:
            await call
        said.append(str(problem.value))
    return said


@pytest.mark.usefixtures("credentials")
async def test_s3_says_why_it_refuses(nanio: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = await new_bucket(nanio)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    async with open_s3(bucket) as store:
        said = await refusals(store)
    assert [text.split(":")[0] for text in said] == [
        f"the file cannot be {word}" for word in ("kept", "read", "removed")
    ]
    assert all("SignatureDoesNotMatch" in text and "another" not in text for text in said)


@pytest.mark.usefixtures("credentials")
async def test_a_large_file_has_longer(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(8 << 20)
    async with open_s3(await new_bucket(moto)) as store:
        monkeypatch.setattr(s3, "_SECONDS", 0.0)
        assert await store.put(KEY, content, content_type=JSON)
        with pytest.raises(TimeoutError, match="within 0 seconds"):
            await store.get(KEY)
        monkeypatch.setattr(s3, "_SECONDS", 60.0)
        assert await store.get(KEY) == content


@pytest.mark.usefixtures("credentials")
async def test_a_bucket_that_is_not_there_is_no_missing_file(moto: str) -> None:
    async with open_s3(Bucket("palpite-nowhere", "", moto)) as store:
        assert all("NoSuchBucket" in text for text in await refusals(store))


@pytest.mark.usefixtures("credentials")
async def test_s3_that_is_away_is_given_up() -> None:
    async with (
        open_s3(Bucket("palpite", "", f"http://127.0.0.1:{free_port('127.0.0.1')}")) as store,
        asyncio.timeout(60),
    ):
        assert all("connect" in text.lower() for text in await refusals(store))


async def test_s3_without_credentials_says_so(moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    async with open_s3(Bucket("palpite", "", moto)) as store:
        assert all("credentials" in text for text in await refusals(store))
        with pytest.raises(OSError, match="cannot be signed"):
            await store.address(KEY, name="x", seconds=60)
