"""Reads strings under many keys, from whichever servers of a cluster have them."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from domain.leaderboard.ports import ProjectionUnavailable
from integrations.valkey.client import server_of
from integrations.valkey.patience import Patience, raise_unless_refused

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def read_strings(client: "Redis", patience: Patience, names: Sequence[str]) -> dict[str, Any]:
    """What stands under each key: bytes, None, or an error for a key of another type.

    Those on a server that does not answer are left out as long as another one does; else raises ProjectionUnavailable.
    """
    shared: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        shared[server_of(client, name)].append(name)
    if len(shared) == 1:  # in nearly all installations
        return await _read(client, patience, *shared.values())
    answers = await asyncio.gather(*(_read(client, patience, some) for some in shared.values()), return_exceptions=True)
    problems = [answer for answer in answers if isinstance(answer, BaseException)]
    for problem in problems:
        if len(problems) == len(answers) or not isinstance(problem, ProjectionUnavailable):
            raise problem
    return {name: value for answer in answers if isinstance(answer, dict) for name, value in answer.items()}


async def _read(client: "Redis", patience: Patience, names: Sequence[str]) -> dict[str, Any]:
    """Of one server."""
    async with patience.exchange(names[0]):
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.get(name)
        answers = await pipeline.execute(raise_on_error=False)
        raise_unless_refused(*answers)
    return dict(zip(names, answers, strict=True))
