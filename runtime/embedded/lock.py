"""Owns who may run the servers of a data folder: one process at a time."""

import fcntl
import os
from pathlib import Path
from typing import IO

from runtime.errors import SetupError


class DataLock:
    """A lock that the kernel gives back when its process dies, however it dies."""

    def __init__(self, data: Path) -> None:
        self._path = data / "up.lock"
        self._file: IO[str] | None = None

    def try_acquire(self) -> bool:
        """Take the lock; False when another process holds it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("a+")
        except PermissionError as problem:
            raise self._of_another_user() from problem
        except OSError as problem:
            reason = (problem.strerror or str(problem)).lower()
            raise SetupError(
                f"{self._path.parent} cannot be a data folder ({reason}): choose another with --data or PALPITE_DATA."
            ) from problem
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file
        return True

    def is_held(self) -> bool:
        """Whether a process holds it; nothing is written to find out.

        Raises:
            SetupError: it is another user's, and cannot be looked at.
        """
        try:
            with self._path.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except PermissionError as problem:
            raise self._of_another_user() from problem
        except OSError:
            return False
        return False

    def holder(self) -> str:
        """The process that holds it, for a message."""
        try:
            return self._path.read_text() or "unknown"
        except OSError:
            return "unknown"

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _of_another_user(self) -> SetupError:
        return SetupError(
            f"{self._path} belongs to another user: run Palpite as that user, or choose another PALPITE_DATA."
        )
