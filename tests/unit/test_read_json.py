"""What JSON of clients is refused, with much around it or next to nothing."""

from typing import Any

import orjson
import pytest

from schema.transport.faults import RequestRefused
from schema.transport.limits import Limits
from schema.transport.requests import read_json

LIMITS = Limits()
LONG = {"brackets": "{[" * LIMITS.nesting, "commas": "," * LIMITS.list_items, "escape": "\\u0000"}
"""Text that holds what values are looked through for, and is harmless."""


def nested(depth: int) -> Any:
    value: Any = 1
    for number in range(depth):
        value = [value] if number % 2 else {"x": value}
    return value


GOOD = [nested(LIMITS.nesting), [0] * LIMITS.list_items, {"x": "\\u0000"}, {"x": "0"}, 1, None]
BAD = [nested(LIMITS.nesting + 1), [0] * (LIMITS.list_items + 1), {"x": ["\0"]}, {"\0": 1}]


@pytest.mark.parametrize("beside", [None, LONG], ids=["alone", "beside long text"])
@pytest.mark.parametrize("value", GOOD)
def test_what_is_within_the_limits_is_read(value: Any, beside: Any) -> None:
    for given in (value, [beside, value]) if value != nested(LIMITS.nesting) else (value,):
        assert read_json(orjson.dumps(given), LIMITS) == given


@pytest.mark.parametrize("beside", [None, LONG], ids=["alone", "beside long text"])
@pytest.mark.parametrize("value", BAD)
def test_what_is_beyond_them_is_refused(value: Any, beside: Any) -> None:
    for given in (value, [beside, value]):
        with pytest.raises(RequestRefused):
            read_json(orjson.dumps(given), LIMITS)
