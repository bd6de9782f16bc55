"""Sorted sets as the bytes of Valkey's protocol: many members at once by numpy.

The client packs arguments one by one in Python, which costs more than the server needs to store them.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEMBERS_A_COMMAND = 250
"""In order of their scores; about half a millisecond of the server, which serves others in between."""
MEMBERS_A_BLOCK = 1_250
"""What is made of them stays in the processor's cache until the server has read it."""

_DIGITS = 16
"""Of any packed score, which has at most 53 bits."""
_FOURS = np.frombuffer(b"".join(b"%04d" % n for n in range(10_000)), dtype="V4")
_ENTRY = np.dtype(
    [("a", "V5"), ("sign", "u1"), ("digits", "V4", (_DIGITS // 4,)), ("b", "V7"), ("member", "V16"), ("c", "V2")]
)


class Command(NamedTuple):
    """Something that is sent in one piece."""

    data: bytes
    answers: int
    """How many it gets."""


def zadd_blocks(
    name: str, members: "NDArray[np.bytes_]", packed: "NDArray[np.int64]", seconds: int
) -> Iterator[Sequence[Command]]:
    """Commands that make a sorted set of members of 16 bytes with the scores minus `packed`, gone after `seconds`.

    Members come in their order, and are written from the last to the first: the server puts each before all others, and
    saves a tenth by it. Each block takes a tenth of a millisecond to make.
    """
    key, members, packed = name.encode(), members[::-1], packed[::-1]
    first = slice(0, MEMBERS_A_COMMAND)
    if len(members):
        # In one step: what is cut off behind it does not stay for ever.
        (begin,) = _block(key, _entries(members[first], packed[first]))
        yield [Command(_transaction(begin.data, _expire(key, seconds)), 4)]
    for start in range(MEMBERS_A_COMMAND, len(members), MEMBERS_A_BLOCK):
        part = slice(start, start + MEMBERS_A_BLOCK)
        yield _block(key, _entries(members[part], packed[part]))


def _transaction(*commands: bytes) -> bytes:
    return b"".join((b"*1\r\n$5\r\nMULTI\r\n", *commands, b"*1\r\n$4\r\nEXEC\r\n"))


def _expire(name: bytes, seconds: int) -> bytes:
    digits = b"%d" % seconds
    return b"*3\r\n$6\r\nEXPIRE\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(name), name, len(digits), digits)


def _entries(members: "NDArray[np.bytes_]", packed: "NDArray[np.int64]") -> "NDArray[np.void]":
    entries = np.empty(len(members), dtype=_ENTRY)
    for field, constant in (("a", b"$17\r\n"), ("b", b"\r\n$16\r\n"), ("c", b"\r\n")):
        entries[field] = np.void(constant)
    entries["sign"] = np.where(packed > 0, ord("-"), ord("0"))
    rest = packed
    for place in reversed(range(_DIGITS // 4)):
        rest, four = np.divmod(rest, 10_000)
        entries["digits"][:, place] = _FOURS[four]
    entries["member"] = np.ascontiguousarray(members).view("V16")
    return entries


def _block(name: bytes, entries: "NDArray[np.void]") -> Sequence[Command]:
    """Every command of a block but the last one is equally long, so they are laid out together."""
    whole = len(entries) // MEMBERS_A_COMMAND
    head = np.frombuffer(_head(name, MEMBERS_A_COMMAND), dtype=np.uint8)
    body = entries[: whole * MEMBERS_A_COMMAND].view(np.uint8).reshape(whole, MEMBERS_A_COMMAND * _ENTRY.itemsize)
    laid = np.concatenate((np.broadcast_to(head, (whole, len(head))), body), axis=1)
    commands = [Command(command.tobytes(), 1) for command in laid]
    rest = entries[whole * MEMBERS_A_COMMAND :]
    if len(rest):
        commands.append(Command(_head(name, len(rest)) + rest.tobytes(), 1))
    return commands


def _head(name: bytes, members: int) -> bytes:
    return b"*%d\r\n$4\r\nZADD\r\n$%d\r\n%s\r\n" % (2 + 2 * members, len(name), name)
