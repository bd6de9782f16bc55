"""What executions ask of the outside world: a place for their reports."""

from typing import Protocol


class ObjectStore(Protocol):
    """Keeps files under keys such as `reports/{execution}/{fence}.json`."""

    async def put(self, key: str, content: bytes, *, content_type: str) -> bool:
        """Keep `content` for good. A key is written once: what is there already stays, and the answer is False.

        Raises OSError when it cannot be kept.
        """
        ...

    async def get(self, key: str) -> bytes | None:
        """What is kept under a key; None when there is nothing. Raises OSError when that cannot be told."""
        ...

    async def delete(self, key: str) -> None:
        """Remove what is kept under a key; harmless when there is nothing.

        Raises OSError when it cannot be removed.
        """
        ...

    async def address(self, key: str, *, name: str, seconds: float) -> str | None:
        """Where the store itself hands the file out for so long, to be saved under `name`; None when it cannot.

        Raises OSError when it cannot be signed.
        """
        ...
