"""Owns how the output of several processes looks on one terminal."""

import sys
from typing import TextIO

from runtime.supervisor import Say

_COLOURS = {"up": 37, "db": 35, "check": 35, "serve": 36, "worker": 33, "scheduler": 32}
_WIDTH = max(map(len, _COLOURS))


def merged_output(stream: TextIO | None = None) -> Say:
    """A line of a process with its name before it, coloured for a person."""
    target = stream or sys.stdout
    colours = target.isatty()

    def say(name: str, line: str) -> None:
        label = f"{name:<{_WIDTH}} |"
        if colours:
            label = f"\x1b[{_COLOURS.get(name, 0)}m{label}\x1b[0m"
        write_line(target, f"{label} {line}")

    return say


def write_line(stream: TextIO, line: str) -> None:
    """Write and flush; a terminal that has gone is no reason to fail."""
    try:
        stream.write(line + "\n")
        stream.flush()
    except (BrokenPipeError, OSError):
        return
