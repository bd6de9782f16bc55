"""What an API process holds for its clients, by its own count and by the machine's."""

import re

import httpx2
import psutil

from tests.support.stage import HOST, Api

SPARE = 5
"""So many tasks and descriptors more than before are pools that have grown."""
_METRICS = {"sockets": "palpite_websockets", "topics": "palpite_live_windows", "tasks": "palpite_tasks"}


async def holdings(api: Api) -> dict[str, float]:
    """Sockets, topics, tasks and descriptors as they are now."""
    async with httpx2.AsyncClient() as http:
        text = (await http.get(f"http://{HOST}:{api.port}/metrics")).text
    found = {name: float(re.findall(rf"^{metric} (\S+)$", text, re.MULTILINE)[0]) for name, metric in _METRICS.items()}
    return {**found, "descriptors": psutil.Process(api.pid).num_fds()}


async def is_quiet(api: Api) -> bool:
    """Whether nobody is connected and nothing is watched."""
    found = await holdings(api)
    return found["sockets"] == found["topics"] == 0


def mebibytes(api: Api) -> float:
    """Memory of the process."""
    return round(psutil.Process(api.pid).memory_info().rss / 2**20, 1)


def assert_given_back(before: dict[str, float], after: dict[str, float]) -> None:
    """Of two quiet moments the later holds no more than the earlier."""
    assert after["tasks"] <= before["tasks"] + SPARE
    assert after["descriptors"] <= before["descriptors"] + SPARE
