"""A bucket of S3, or of a store that speaks its language, as an object store: for any number of machines."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    HTTPClientError,
    ReadTimeoutError,
)

from integrations.object_store.keys import parts_of

if TYPE_CHECKING:
    from domain.execution.ports import ObjectStore

_MISSING = ("NoSuchKey", "404", "NotFound")
# The second: another writer of the same key was at work just then.
_TAKEN = ("PreconditionFailed", "412", "ConditionalRequestConflict")
# For a whole call: the timeouts of the client do not cover its wait for permission to send a body.
_SECONDS = 8.0
_BYTES_A_SECOND = 1 << 20
"""A body has longer, for so slow a line."""
_DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where files are kept: a bucket, and a folder in it. No endpoint means Amazon's."""

    name: str
    folder: str = ""
    endpoint: str | None = None
    region: str | None = None


class S3Store:
    """Keeps each key as an object of a bucket. A server that knows no conditional writes (If-None-Match) overwrites."""

    def __init__(self, client: Any, bucket: Bucket) -> None:
        self._client = client
        self._bucket = bucket

    async def put(self, key: str, content: bytes, *, content_type: str) -> bool:
        place = self._place(key)
        try:
            async with _asked("kept", size=len(content)):
                await self._client.put_object(**place, Body=content, ContentType=content_type, IfNoneMatch="*")
        except FileExistsError:
            return False
        return True

    async def get(self, key: str) -> bytes | None:
        place = self._place(key)
        try:
            async with _asked("read"):
                answer = await self._client.get_object(**place)
                async with answer["Body"] as stream:
                    content: bytes = await stream.read()
        except FileNotFoundError:
            return None
        return content

    async def delete(self, key: str) -> None:
        place = self._place(key)
        async with _asked("removed"):
            await self._client.delete_object(**place)

    async def address(self, key: str, *, name: str, seconds: float) -> str | None:
        """Signed here, without asking the server."""
        place = self._place(key) | {"ResponseContentDisposition": f'attachment; filename="{name}"'}
        async with _asked("signed"):
            url: str = await self._client.generate_presigned_url("get_object", Params=place, ExpiresIn=int(seconds))
        return url

    def _place(self, key: str) -> dict[str, str]:
        parts = parts_of(key)
        return {"Bucket": self._bucket.name, "Key": "/".join((*filter(None, [self._bucket.folder]), *parts))}


@asynccontextmanager
async def open_s3(bucket: Bucket) -> AsyncIterator[S3Store]:
    """A store with a client of its own; making one is slow, so a process makes it once.

    A call that is not answered ends with TimeoutError after eight seconds, its repetition included; one that sends a
    large file has a second more for each megabyte.
    """
    session = aioboto3.Session(region_name=bucket.region)
    config = AioConfig(
        connect_timeout=2,
        read_timeout=3,
        retries={"mode": "standard", "total_max_attempts": 2},
        max_pool_connections=10,
        signature_version="s3v4",
        # Checksums in trailers are an idea of Amazon's that other stores refuse.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if bucket.endpoint else "auto"},
    )
    region = session.region_name or _DEFAULT_REGION
    async with session.client("s3", endpoint_url=bucket.endpoint, region_name=region, config=config) as client:
        yield S3Store(client, bucket)


@asynccontextmanager
async def _asked(what: str, *, size: int = 0) -> AsyncIterator[None]:
    """Ask within a bounded time, longer by the bytes sent; what is wrong is said as the port says it.

    The libraries' messages name the endpoint, never a key or a secret.
    """
    seconds = _SECONDS + size / _BYTES_A_SECOND
    try:
        async with asyncio.timeout(seconds):
            yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _MISSING:
            raise FileNotFoundError(code) from error
        if code in _TAKEN:
            raise FileExistsError(code) from error
        raise OSError(f"the file cannot be {what}: {error}") from error
    except HTTPClientError as error:
        kind = TimeoutError if isinstance(error, ReadTimeoutError | ConnectTimeoutError) else OSError
        raise kind(f"the file cannot be {what}: {error}") from error
    except TimeoutError as error:
        raise TimeoutError(f"the file cannot be {what}: no answer within {seconds:.0f} seconds") from error
    except BotoCoreError as error:
        raise OSError(f"the file cannot be {what}: {error}") from error


if TYPE_CHECKING:
    _conforms: type[ObjectStore] = S3Store
