"""What every object store does."""

import asyncio
from pathlib import Path

import pytest

from domain.execution.ports import ObjectStore
from integrations.object_store.folder import FolderStore

KEY = "reports/one/1.json"
JSON = "application/json"


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return FolderStore(tmp_path / "files")


async def test_what_is_put_can_be_got(store: ObjectStore) -> None:
    assert await store.put(KEY, b"\x00 content", content_type=JSON)
    assert await store.get(KEY) == b"\x00 content"
    assert await store.get("reports/one/2.json") is None
    assert await store.get("reports/one/1.json/below") is None


async def test_a_key_is_written_once(store: ObjectStore) -> None:
    assert await store.put(KEY, b"first", content_type=JSON)
    assert not await store.put(KEY, b"second", content_type=JSON)
    assert await store.get(KEY) == b"first"


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


async def test_nothing_is_left_beside_the_files(store: ObjectStore, tmp_path: Path) -> None:
    await store.put(KEY, b"first", content_type=JSON)
    await store.put(KEY, b"second", content_type=JSON)

    files = await asyncio.to_thread(lambda: [path.name for path in tmp_path.rglob("*") if path.is_file()])
    assert files == ["1.json"]


@pytest.mark.parametrize("key", ["", "..", "../secret", "a/../../secret", "/etc/passwd", "a\0b"])
async def test_keys_stay_inside(store: ObjectStore, key: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        await store.get(key)
    with pytest.raises(ValueError, match="no key"):
        await store.put(key, b"", content_type=JSON)
    with pytest.raises(ValueError, match="no key"):
        await store.delete(key)


async def test_a_store_that_cannot_write_says_so(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("no folder")
    with pytest.raises(OSError, match="files"):
        await FolderStore(tmp_path / "files").put(KEY, b"", content_type=JSON)
