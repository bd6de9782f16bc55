"""A subscription that is over while it still joins: it sits nowhere afterwards."""

from types import SimpleNamespace
from typing import Any

import pytest

from domain.errors import Forbidden
from schema.transport.seated import Seated


class Place:
    """Owner, outlet and seat at once: what is asked of them."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.calls.append(name)


@pytest.mark.parametrize("problem", [Forbidden("You may no longer see this."), None])
@pytest.mark.parametrize("by_client", [False, True])
async def test_what_is_over_before_it_has_joined(problem: Exception | None, *, by_client: bool) -> None:
    owner, outlet, seat = Place(), Place(), Place()
    seated = Seated(owner, outlet, "1", "r1")  # type: ignore[arg-type]

    async def join(_context: Any, _stream: Any, sink: Seated) -> Any:
        if by_client:
            sink.leave()
        else:
            sink.end(problem)
        return seat

    joining = seated.join(SimpleNamespace(join=join), None, None)  # type: ignore[arg-type]
    if problem is None or by_client:
        await joining
    else:
        with pytest.raises(Forbidden):
            await joining

    assert seated.is_over
    assert seat.calls == ["leave"]
    assert "join" not in outlet.calls
    assert owner.calls == ([] if by_client else ["end"])
