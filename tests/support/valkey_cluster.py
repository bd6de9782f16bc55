"""A Valkey cluster of three servers on this machine, for the tests that show that one server is not needed."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import SIGKILL

import redis
from redis.crc import key_slot

from runtime.embedded.identity import Identity
from runtime.embedded.process import start_server
from runtime.embedded.valkey import _program
from tests.support.servers import temporary_data

NODES, SLOTS = 3, 16_384
_SHARE = -(-SLOTS // NODES)
_SETTINGS = {
    "bind": "127.0.0.1",
    "cluster-enabled": "yes",
    "cluster-node-timeout": "2000",
    "save": '""',
    "appendonly": "no",
}


@contextmanager
def running_cluster() -> Iterator[str]:
    """Three empty servers that share the slots; the answer is the address of the cluster."""
    with temporary_data() as folder, ExitStack() as stack:
        ports = _free_ports(2 * NODES)
        nodes = list(zip(ports[:NODES], ports[NODES:], strict=True))
        for port, bus in nodes:
            stack.enter_context(_running_node(folder / str(port), port, bus))
        _join(nodes)
        yield f"redis+cluster://127.0.0.1:{ports[0]}"


@contextmanager
def failing_cluster(key: bytes) -> Iterator[tuple[str, Callable[[], None]]]:
    """The same, and a replica of the server that holds a key: its address, and what kills that server."""
    with temporary_data() as folder, ExitStack() as stack:
        ports = _free_ports(2 * NODES + 2)
        *nodes, replica = zip(ports[: NODES + 1], ports[NODES + 1 :], strict=True)
        processes = [stack.enter_context(_running_node(folder / str(port), port, bus)) for port, bus in nodes]
        _join(nodes)
        holder = key_slot(key) // _SHARE
        stack.enter_context(_running_node(folder / str(replica[0]), *replica))
        _replicate(nodes[holder][0], *replica)
        yield f"redis+cluster://127.0.0.1:{nodes[holder - 1][0]}", processes[holder].kill


def empty(url: str) -> None:
    """Remove everything from every server."""
    with redis.RedisCluster.from_url(url.replace("+cluster", "")) as client:
        client.flushall(target_nodes=redis.RedisCluster.PRIMARIES)


@contextmanager
def _running_node(folder: Path, port: int, bus: int) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir()
    settings = _SETTINGS | {"port": str(port), "cluster-port": str(bus), "dir": f'"{folder}"'}
    file = folder / "valkey.conf"
    file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    process = start_server(
        [_program(), file], identity=Identity(None, None), cwd=folder, log=folder / "log", death_signal=SIGKILL
    )
    try:
        _until_it_answers(port, process)
        yield process
    finally:
        process.kill()
        process.wait()


def _join(nodes: list[tuple[int, int]]) -> None:
    """Give each server its share of the slots, introduce them, and wait until all agree."""
    first_port, first_bus = nodes[0]
    for number, (port, _) in enumerate(nodes):
        with redis.Redis(port=port) as client:
            start = number * _SHARE
            client.execute_command("CLUSTER ADDSLOTSRANGE", start, min(start + _SHARE, SLOTS) - 1)
            if number:
                client.execute_command("CLUSTER MEET", "127.0.0.1", first_port, first_bus)
    deadline = time.monotonic() + 30
    while not all(_is_whole(port) for port, _ in nodes):
        assert time.monotonic() < deadline, "the servers do not form a cluster"
        time.sleep(0.05)


def _replicate(primary: int, port: int, bus: int) -> None:
    """Have the server of a port follow another one."""
    deadline = time.monotonic() + 30
    with redis.Redis(port=primary, decode_responses=True) as holder, redis.Redis(port=port) as client:
        holder.execute_command("CLUSTER MEET", "127.0.0.1", port, bus)
        name = holder.execute_command("CLUSTER MYID")
        while name not in str(client.execute_command("CLUSTER NODES")):
            assert time.monotonic() < deadline, "the replica does not meet the others"
            time.sleep(0.05)
        client.execute_command("CLUSTER REPLICATE", name)
        while client.info("replication")["master_link_status"] != "up":
            assert time.monotonic() < deadline, "the replica does not follow"
            time.sleep(0.05)


def _is_whole(port: int) -> bool:
    with redis.Redis(port=port, decode_responses=True) as client:
        info = client.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == str(NODES)


def _until_it_answers(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with redis.Redis(port=port) as client:
                client.ping()
                return
        except redis.ConnectionError:
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.02)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [taken.getsockname()[1] for taken in sockets]
