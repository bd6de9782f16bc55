"""Owns the embedded servers as one: those that the settings do not replace by servers of the user's own."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from runtime.embedded.lock import DataLock
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.embedded.process import wait_until
from runtime.embedded.valkey import EmbeddedValkey
from runtime.errors import SetupError
from runtime.settings import Settings


class EmbeddedServers:
    """PostgreSQL where DATABASE_URL is not set, Valkey where REDIS_URL is not set."""

    def __init__(self, settings: Settings, *, with_valkey: bool = True) -> None:
        """`with_valkey` is False for a command that needs the database only."""
        self._settings = settings
        self._lock = DataLock(settings.data)
        self._postgres = None if settings.database_url else EmbeddedPostgres(settings.data)
        self._valkey = None if settings.redis_url or not with_valkey else EmbeddedValkey(settings.data)

    @property
    def replace_all(self) -> bool:
        """Whether no server of the user's own takes part."""
        return self._postgres is not None and self._valkey is not None

    def require_made(self) -> None:
        """Refuse a data folder that nobody has set up, such as a misspelt one; nothing is written.

        Raises:
            SetupError: it has no servers, and no Palpite is making them; or it is another user's.
        """
        for server in self._servers()[:1]:  # the other one may be missing: some commands need no Valkey
            if not (server.is_made or self._lock.is_held()):
                raise SetupError(
                    f"There is no Palpite in {self._settings.data.absolute()}: run `palpite up` or `palpite db "
                    "upgrade`, or correct PALPITE_DATA or DATABASE_URL."
                )

    def try_claim(self) -> bool:
        """Make the data folder ours; False when another Palpite runs its servers."""
        return not self._servers() or self._lock.try_acquire()

    def claim(self) -> None:
        """Make the data folder ours.

        Raises:
            SetupError: another Palpite uses it.
        """
        if not self.try_claim():
            raise SetupError(
                f"Another Palpite (process {self._lock.holder()}) uses the data folder {self._settings.data}: "
                "stop it, or choose another folder with --data or PALPITE_DATA."
            )

    def start(self) -> None:
        """Start what is needed, after `claim`; on a failure nothing is left running.

        Raises:
            SetupError: a server does not start.
        """
        try:
            for server in self._servers():
                server.start()
        except BaseException:
            self.stop()
            raise

    def wait_for_other(self, seconds: float) -> None:
        """Wait until the servers that another Palpite runs can be reached."""
        if not wait_until(lambda: all(server.is_ready() for server in self._servers()), seconds):
            raise SetupError(
                f"Another Palpite (process {self._lock.holder()}) holds {self._settings.data}, but its servers do not "
                "answer: stop it and try again."
            )

    def settings(self) -> Settings:
        """The settings with the addresses of these servers."""
        urls: dict[str, str] = {}
        if self._postgres is not None:
            urls["database_url"] = self._postgres.url
        if self._valkey is not None:
            urls["redis_url"] = self._valkey.url
        return self._settings.changed(**urls)

    def revive(self) -> list[str]:
        """Start what died; the names of the servers that were started again."""
        dead = [server for server in self._servers() if not server.is_running()]
        for server in dead:
            server.stop()
            server.start()
        return [server.name for server in dead]

    def give_up_waiting(self) -> None:
        """Make a start that still waits (for a recovery) end now; called from another thread."""
        for server in self._servers():
            server.give_up_waiting()

    def stop(self) -> None:
        """Stop what was started, at the same time, and give the folder back."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            for done in [pool.submit(server.stop) for server in self._servers()]:
                done.result()
        self._lock.release()

    def _servers(self) -> list[EmbeddedPostgres | EmbeddedValkey]:
        return [server for server in (self._postgres, self._valkey) if server is not None]


@contextmanager
def servers_for_command(settings: Settings, *, with_valkey: bool = True, creates: bool = False) -> Iterator[Settings]:
    """Servers for one short command: those of the Palpite that runs, else started for the block and stopped.

    Only a command that `creates` makes them where there are none.
    """
    servers = EmbeddedServers(settings, with_valkey=with_valkey)
    if not creates:
        servers.require_made()
    if not servers.try_claim():
        servers.wait_for_other(seconds=15)
        yield servers.settings()
        return
    servers.start()
    try:
        yield servers.settings()
    finally:
        servers.stop()


def servers_of_running_palpite(settings: Settings) -> Settings:
    """The settings of a process that brings no servers: the user's own, else those of a running `palpite up`.

    Raises:
        SetupError: neither is there.
    """
    if settings.database_url and settings.redis_url:
        return settings
    if not DataLock(settings.data).is_held():
        settings.required_database_url()
        settings.required_redis_url()
    servers = EmbeddedServers(settings)
    servers.wait_for_other(seconds=15)
    return servers.settings()
