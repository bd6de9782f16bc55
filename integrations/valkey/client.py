"""Connections to Valkey that outlive its restarts."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff


def connect(url: str, *, timeout: float = 3.0, connections: int = 50) -> "Redis":
    """A client that answers bytes; nothing is sent until it is used. Timeouts in seconds."""
    return Redis.from_url(
        url,
        decode_responses=False,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 3),
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        health_check_interval=15,
        max_connections=connections,
    )
