"""Where something failed, in our code alone and without a value."""

import asyncio
from collections.abc import Callable

import pytest

from domain.execution.trace import trace_of
from schema.ids import MalformedId, uuid_part

SECRET = "guess 2-1 of ana@example.org"


def raised(do: Callable[[], object]) -> Exception:
    try:
        do()
    except Exception as error:  # noqa: BLE001 whatever it is
        return error
    raise AssertionError


def test_it_names_kind_file_line_and_function_and_the_cause() -> None:
    lines = trace_of(raised(lambda: uuid_part(SECRET))).split("\n")

    assert [line.split(":")[0] for line in lines] == [
        "schema.ids.MalformedId",
        "  schema/ids.py",
        "builtins.ValueError",
        "  schema/ids.py",
    ]
    assert lines[1].endswith(" uuid_part")
    assert lines[1].split(":")[1].split()[0].isdigit()


def test_it_holds_no_value_and_no_foreign_code() -> None:
    for error in (
        raised(lambda: uuid_part(SECRET)),
        raised(lambda: asyncio.run(_fail())),
    ):
        trace = trace_of(error)
        assert SECRET in repr(error) + repr(error.__cause__) + repr(error.__context__)
        assert "guess" not in trace
        assert "ana" not in trace
        assert "site-packages" not in trace
        assert "tests" not in trace
        assert "asyncio" not in trace


def test_each_of_a_group_and_each_cause_is_named_once() -> None:
    inner = raised(lambda: uuid_part("x"))
    group = ExceptionGroup("two", [inner, KeyError(SECRET)])
    group.__cause__ = inner
    inner.__context__ = group  # a ring

    kinds = [line for line in trace_of(group).split("\n") if not line.startswith(" ")]
    assert kinds == [
        "builtins.ExceptionGroup",
        "schema.ids.MalformedId",
        "builtins.ValueError",
        "builtins.KeyError",
    ]


@pytest.mark.parametrize("depth", [10, 900])
def test_a_long_way_is_cut(depth: int) -> None:
    namespace: dict[str, object] = {}
    file = uuid_part.__code__.co_filename  # as if it stood in our code
    source = "def down(n, fail):\n    return fail() if n == 0 else down(n - 1, fail)\n"
    exec(compile(source, file, "exec"), namespace)
    down = namespace["down"]

    def fail() -> None:
        raise MalformedId(SECRET)

    lines = trace_of(raised(lambda: down(depth, fail))).split("\n")  # type: ignore[operator]
    if depth == 10:
        assert len(lines) == 1 + 11
    else:
        assert lines[1] == f"  ... {depth + 1 - 40} calls"
        assert len(lines) == 1 + 1 + 40
    assert lines[-1] == "  schema/ids.py:2 down"


def test_many_causes_stay_within_eight_thousand_characters() -> None:
    error = raised(lambda: uuid_part("x"))
    for _ in range(300):
        outer = raised(lambda: uuid_part("x"))
        outer.__cause__ = error
        error = outer
    ways = trace_of(error)

    assert len(ways) <= 8_000
    assert ways.count("schema.ids.MalformedId") == 10


async def _fail() -> None:
    raise RuntimeError(SECRET)
