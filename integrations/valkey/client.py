"""Connections to Valkey, one server or a cluster, that outlive its restarts."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisClusterException, RedisError, SlotNotCoveredError

if TYPE_CHECKING:
    from redis.asyncio.cluster import ClusterNode
    from redis.asyncio.connection import AbstractConnection

Valkey: TypeAlias = "Redis | Cluster"
"""Both answer the same calls; a command of several keys names keys of one hash tag only."""

AWAY = (RedisError, RedisClusterException, OSError, TimeoutError)
"""What is raised when no server answers; that of a cluster which cannot be found is no RedisError."""

CLUSTER_SCHEMES = ("redis+cluster", "rediss+cluster")
"""How the address of a cluster begins; that of any of its nodes will do."""

_LOOK_SECONDS = 1.0
"""So long the servers of a cluster are asked who holds what, when one of them is away."""

_log = logging.getLogger(__name__)


class Cluster(RedisCluster):
    """A client of a cluster that looks for its servers anew beside its callers, for none of them may answer."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """As the client that it is."""
        super().__init__(*args, **options)
        self._looks: dict[str, asyncio.Task[None]] = {}

    def look_anew(self, without: str) -> "asyncio.Task[None] | None":
        """Ask who holds what by now, the server that is away last; once at a time for each. It ends by itself.

        None: the client is closed, and looks when it is used again.
        """
        if self._initialize:
            return None
        if without not in self._looks:
            self._looks[without] = asyncio.create_task(self._look(without))
            self._looks[without].add_done_callback(lambda _: self._looks.pop(without))
        return self._looks[without]

    async def aclose(self) -> None:
        """Close all connections, and end what looks for servers."""
        while looks := list(self._looks.values()):  # another may have begun meanwhile
            for look in looks:
                look.cancel()
            await asyncio.gather(*looks, return_exceptions=True)
        await super().aclose()

    async def _look(self, without: str) -> None:
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await self.nodes_manager.initialize(last_failed_node_name=without)
        except AWAY:
            pass  # whoever fails next has it looked for again
        except Exception:  # noqa: BLE001 an edge: nobody waits for it
            _log.warning("valkey_servers_not_found", exc_info=True)


def is_cluster(url: str) -> bool:
    """Whether an address is that of a cluster."""
    return url.partition("://")[0] in CLUSTER_SCHEMES


def connect(url: str, *, timeout: float = 3.0, connections: int = 50) -> "Redis":
    """A client that answers bytes; nothing is sent until it is used. Timeouts in seconds, `connections` to a server.

    That of a cluster is of another class, which no caller needs to know.
    """
    # A connection that was lost is made again at once; a server that refuses is away, and nobody waits for it here.
    retry = Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.05), 2)
    options: dict[str, Any] = {
        "decode_responses": False,
        "retry": retry,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "health_check_interval": 15,
        "max_connections": connections,
    }
    if is_cluster(url):
        return cast("Redis", Cluster.from_url(url.replace("+cluster", "", 1), **options))
    return Redis.from_url(url, **options)


@asynccontextmanager
async def connection_for(client: "Valkey", key: str) -> "AsyncIterator[AbstractConnection]":
    """A connection of its own to the server that holds a key; closed after an error, for answers may wait in it.

    It waits for as long as its user does: with a timeout of its own each command would cost a task.
    """
    connection, give_back = await _take(client, key)
    seconds, connection.socket_timeout = connection.socket_timeout, None
    try:
        yield connection
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    finally:
        connection.socket_timeout = seconds
        await give_back()


def server_of(client: "Valkey", key: str) -> str:
    """Names the server of a cluster that holds a key; empty where there is only one, or none is known yet."""
    node = _node_of(client, key)
    return "" if node is None else node.name


async def drop_connections(client: "Valkey", key: str | None = None, *, wait: bool = True) -> None:
    """Close what is idle: connections to a server that has restarted are dead, each of them.

    `key`: only those with the server of a cluster that holds it. The others stay, and tell who holds what by now;
    `wait`: until they have told, a second at most.
    """
    if not isinstance(client, Cluster):
        await client.connection_pool.disconnect(inuse_connections=False)
        return
    node = None if key is None else _node_of(client, key)
    if node is None:
        await client.aclose()  # it looks for its nodes again when it is used again
        return
    await node.disconnect_free_connections()
    client.nodes_manager.move_node_to_end_of_cached_nodes(node.name)
    look = client.look_anew(node.name)
    if look is not None and wait:
        await asyncio.wait([look])  # it goes on without who waits, and its end is not his


def _node_of(client: "Valkey", key: str) -> "ClusterNode | None":
    if not isinstance(client, Cluster):
        return None
    try:
        return client.get_node_from_key(key)
    except SlotNotCoveredError:
        return None


async def _take(client: "Valkey", key: str) -> "tuple[AbstractConnection, Callable[[], Awaitable[None]]]":
    if not isinstance(client, Cluster):
        pool = client.connection_pool
        pooled: AbstractConnection = await pool.get_connection()  # type: ignore[no-untyped-call]
        return pooled, partial(pool.release, pooled)
    await client.initialize()
    node = client.get_node_from_key(key)
    assert node is not None  # only a replica may be missing
    connection = node.acquire_connection()

    async def release() -> None:
        node.release(connection)

    return connection, release
