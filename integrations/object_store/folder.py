"""A folder as an object store: the default, for one machine."""

import asyncio
import errno
import os
import secrets
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from integrations.object_store.keys import parts_of

if TYPE_CHECKING:
    from domain.execution.ports import ObjectStore


class FolderStore:
    """Keeps each key as a file below `root`. Content types are not kept: the ending of the key says them."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, key: str, content: bytes, *, content_type: str) -> bool:  # noqa: ARG002 see the class
        return await asyncio.to_thread(self._put, key, content)

    async def get(self, key: str) -> bytes | None:
        return await asyncio.to_thread(self._get, key)

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._delete, key)

    async def address(self, key: str, *, name: str, seconds: float) -> str | None:  # noqa: ARG002 a folder has none
        parts_of(key)
        return None

    def _put(self, key: str, content: bytes) -> bool:
        """Written whole beside its place first: nobody sees half a file, and of two writers one wins."""
        path = self._path(key)
        if path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        return True

    def _get(self, key: str) -> bytes | None:
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _delete(self, key: str) -> None:
        """With the drafts of writers that were killed. The folder goes with its last file.

        Should a writer want it just then, the key is put again, or fails.
        """
        path = self._path(key)
        try:
            for file in (*path.parent.glob(f".{escape(path.name)}.*"), path):
                file.unlink(missing_ok=True)
            path.parent.rmdir()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise

    def _path(self, key: str) -> Path:
        return self._root.joinpath(*parts_of(key))


if TYPE_CHECKING:
    _conforms: type[ObjectStore] = FolderStore
