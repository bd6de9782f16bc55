"""Owns which object store a process uses: a folder, or a bucket of S3."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.execution.ports import ObjectStore
from integrations.object_store.folder import FolderStore
from runtime.extras import extra
from runtime.settings import Settings


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[ObjectStore]:
    """The store of the settings. It is not asked for anything yet: without it a process works on, without reports.

    Raises:
        SetupError: its libraries are not installed.
    """
    if settings.object_store is None:
        yield FolderStore(settings.data / "files")
        return
    with extra("s3", asked_by="PALPITE_OBJECT_STORE"):
        from integrations.object_store.s3 import Bucket, open_s3  # noqa: PLC0415 -- its libraries are an extra

    name, _, folder = settings.object_store.removeprefix("s3://").partition("/")
    bucket = Bucket(name, folder.strip("/"), settings.s3_endpoint, settings.s3_region)
    async with open_s3(bucket) as store:
        yield store
