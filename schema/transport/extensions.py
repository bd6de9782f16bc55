"""What every answer says of itself beside its data."""

from datetime import UTC, datetime
from typing import Any

import orjson


def extensions(request_id: str, cost: int, *, session_ended: bool = False) -> dict[str, Any]:
    """The `extensions` of an answer over HTTP."""
    found: dict[str, Any] = {
        "requestId": request_id,
        "serverTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "cost": cost,
    }
    if session_ended:
        found["sessionEnded"] = True
    return found


def around(told: dict[str, Any]) -> tuple[bytes, bytes]:
    """What stands before and behind data that are JSON already."""
    return b'{"data":', b',"extensions":%b}' % orjson.dumps(told)


def closed(data: bytes, told: dict[str, Any]) -> bytes:
    """An answer whose data are JSON already, with its extensions."""
    before, behind = around(told)
    return b"".join((before, data, behind))
