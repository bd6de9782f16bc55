"""Groups of a board rank any piece of it as the whole ranking does, and packed commands say what they should."""

import struct
from itertools import chain
from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import MemberId
from domain.leaderboard.arrays import id_bytes, to_ids
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.rules import rows_of
from integrations.valkey import groups
from integrations.valkey.packing import MEMBERS_A_BLOCK, MEMBERS_A_COMMAND, zadd_blocks

scores = st.lists(st.integers(0, 6) | st.just(2**53 - 1), max_size=40)


def board(packed: list[int]) -> Ranking:
    ids = to_ids([MemberId(UUID(int=n * 2**61)) for n in range(len(packed))])
    return Ranking(ids, np.array(packed, dtype=np.int64))


@given(scores, st.integers(0, 40), st.integers(1, 40))
def test_every_piece_is_ranked_as_in_the_whole(packed: list[int], start: int, count: int) -> None:
    ranking = board(packed)
    found = groups.decode(groups.encode(ranking), len(ranking))
    assert found is not None
    members = [id_bytes(member) for member in ranking.ids[start : start + count].tolist()]

    assert rows_of(found.page(min(start, len(ranking)), members, None)) == ranking.rows(start, start + count)
    for score in range(8):
        low, high = found.span(score)
        assert (low, high) == (sum(one > score for one in packed), sum(one >= score for one in packed))
        assert found.rank(score) == low + 1


@given(scores, st.integers(0, 40))
def test_what_is_not_a_boards_groups_is_refused(packed: list[int], members: int) -> None:
    value = groups.encode(board(packed))

    assert (groups.decode(value, members) is None) == (members != len(packed))
    assert groups.decode(value + b"x", len(packed)) is None
    for length in range(0, len(value), groups.SIZE):
        assert groups.decode(value[:length], len(packed)) is None
    assert groups.decode(struct.pack("<qq", 2**60, 0) + value, len(packed)) is None or not packed


@given(st.integers(0, 3 * MEMBERS_A_COMMAND), st.integers(0, 2**53 - 1))
def test_packed_commands_say_what_they_should(count: int, highest: int) -> None:
    rng = np.random.default_rng(count)
    members = np.ascontiguousarray(rng.integers(0, 256, (count, 16), dtype=np.uint8)).view("S16").ravel()
    packed = rng.integers(0, highest + 1, count)

    made = list(chain.from_iterable(zadd_blocks("a{b}:c", members, packed, 300)))
    commands = list(_parsed(b"".join(command.data for command in made)))

    assert sum(command.answers for command in made) == len(commands)
    assert [one for one in commands if one[0] != b"ZADD"] == (
        [[b"MULTI"], [b"EXPIRE", b"a{b}:c", b"300"], [b"EXEC"]] if count else []
    )
    added = [one for one in commands if one[0] == b"ZADD"]
    assert all(one[1] == b"a{b}:c" and len(one) <= 2 * MEMBERS_A_COMMAND + 2 for one in added)
    pairs = [pair for one in added for pair in zip(one[2::2], one[3::2], strict=True)][::-1]
    assert [int(score) for score, _ in pairs] == [-score for score in packed.tolist()]
    assert b"".join(member for _, member in pairs) == members.tobytes()


def test_a_large_board_comes_in_blocks() -> None:
    members = np.frombuffer(bytes(16) * (MEMBERS_A_BLOCK + 300), dtype="S16")
    blocks = list(zadd_blocks("k", members, np.zeros(len(members), dtype=np.int64), 1))
    assert [len(block) for block in blocks] == [1, MEMBERS_A_BLOCK // MEMBERS_A_COMMAND, 1]


def _parsed(data: bytes) -> "list[list[bytes]]":
    """Commands in Valkey's protocol."""
    commands, rest = [], data
    while rest:
        line, rest = rest.split(b"\r\n", 1)
        command = []
        for _ in range(int(line[1:])):
            size, rest = rest.split(b"\r\n", 1)
            command.append(rest[: int(size[1:])])
            rest = rest[int(size[1:]) + 2 :]
        commands.append(command)
    return commands
