"""Asks Valkey every two milliseconds until its input ends, then prints how long each answer took, in seconds."""

import select
import sys
import time

import redis


def main() -> None:
    client = redis.Redis.from_url(sys.argv[1])
    client.ping()
    print("ready", flush=True)
    waits = []
    while not select.select([sys.stdin], [], [], 0.002)[0]:
        began = time.perf_counter()
        client.ping()
        waits.append(time.perf_counter() - began)
    print(*waits)


if __name__ == "__main__":
    main()
