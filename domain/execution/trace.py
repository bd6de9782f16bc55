"""Where in our code something failed, for people on call: files, lines and functions, never values.

A message or a variable may hold what nobody on call may see (guesses, e-mails, keys); a place in the code cannot.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

_ROOT = Path(__file__).parents[2]
_OURS = frozenset({"domain", "integrations", "live", "resolvers", "runtime", "schema", "tasks"})
_LONGEST = 8_000
_FRAMES = 40
_ERRORS = 10


def trace_of(error: BaseException) -> str:
    """The kinds of an exception and of what caused it, each with its way through our code, the latest call last.

    At most 8,000 characters: of a long way the end is kept, and of many causes the first ones.
    """
    lines = [line for one in list(_with_causes(error, set()))[:_ERRORS] for line in _lines(one)]
    while len("\n".join(lines)) > _LONGEST:
        lines.pop()
    return "\n".join(lines)


def _with_causes(error: BaseException, seen: set[int]) -> Iterator[BaseException]:
    if id(error) in seen:
        return
    seen.add(id(error))
    yield error
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    for one in (*parts, cause):
        if one is not None:
            yield from _with_causes(one, seen)


def _lines(error: BaseException) -> list[str]:
    kind = type(error)
    frames = list(_frames(error.__traceback__))
    left_out = len(frames) - _FRAMES
    return [
        f"{kind.__module__}.{kind.__qualname__}",
        *([f"  ... {left_out} calls"] if left_out > 0 else []),
        *frames[-_FRAMES:],
    ]


def _frames(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        code = traceback.tb_frame.f_code
        place = Path(code.co_filename)
        if place.is_relative_to(_ROOT) and place.relative_to(_ROOT).parts[0] in _OURS:
            name = place.relative_to(_ROOT).as_posix()
            yield f"  {name}:{traceback.tb_lineno} {code.co_qualname}"
        traceback = traceback.tb_next
