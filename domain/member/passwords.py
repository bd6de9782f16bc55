"""Hashing of passwords: argon2id, off the event loop, never more than a few at a time because each takes memory."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pwdlib.hashers.argon2 import Argon2Hasher

T = TypeVar("T")


class Passwords:
    """Hashes and verifies in threads of its own; who comes meanwhile waits. One for a process."""

    def __init__(self, *, at_a_time: int = 2, memory_kib: int = 19_456, passes: int = 2) -> None:
        """`memory_kib` of memory and `passes` over it for each hash (OWASP's second choice by default: some 20 ms)."""
        self._threads = ThreadPoolExecutor(at_a_time, thread_name_prefix="palpite-password")
        self._hasher = Argon2Hasher(time_cost=passes, memory_cost=memory_kib, parallelism=1)

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._hasher.hash(_same_form(password)))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether the password is the one that was hashed. Without a stored hash: no, after the same work."""
        if stored is None:
            await self.hash(password)
            return False
        return await self._run(lambda: self._hasher.verify(_same_form(password), stored))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _same_form(password: str) -> bytes:
    """One sequence of bytes for a password, however a keyboard composes its accents."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
