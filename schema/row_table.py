"""The rows of an event of a stream: written from the numbers of its sheet, or made where that does not do."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, cast, overload

import orjson

from domain.leaderboard.sheet import COLUMN, CRITERIA, UNMOVED
from live import events
from schema.batched import Cells, Column, Table
from schema.boards import RowBatch, json_row_ids
from schema.ids import encode_each
from schema.leaderboard import LeaderboardRow
from schema.member import Member


class MemberCells(Cells):
    """Members of rows."""

    OF: ClassVar = Member

    def __init__(self, named: Sequence[tuple[bytes, str]]) -> None:
        """`named`: ids of 16 bytes and nick names."""
        self._named = named

    def __len__(self) -> int:
        return len(self._named)

    def cells(self, column: Column) -> list[bytes]:
        match column.name:
            case "id":
                return encode_each("Member", [member for member, _ in self._named])
            case "nick_name":
                return [orjson.dumps(name) for _, name in self._named]
        raise LookupError(column.name)


class RowTable(Table[LeaderboardRow]):
    """Those of a snapshot or delta. All that they show came with it: nothing is read."""

    OF: ClassVar = LeaderboardRow

    def __init__(self, event: events.Snapshot | events.Delta) -> None:
        self._event = event

    def __len__(self) -> int:
        return len(self._event.sheet)

    @overload
    def __getitem__(self, place: int) -> LeaderboardRow: ...

    @overload
    def __getitem__(self, place: slice) -> list[LeaderboardRow]: ...

    def __getitem__(self, place: int | slice) -> LeaderboardRow | list[LeaderboardRow]:
        return self._rows[place]

    def cells(self, column: Column) -> list[int] | list[bytes] | bytes:
        if column.name == "version":
            return column.json(self._event.version)
        made = self._MADE.get(column.name)
        return self._event.sheet.column(column.name) if made is None else made(self, column)

    def _id(self, _column: Column) -> list[bytes]:
        return row_ids(self._event, self._event.sheet.members)

    def _member(self, column: Column) -> list[bytes]:
        event = self._event
        named = list(zip(event.sheet.members, event.sheet.names, strict=True))
        return event.texts.of(column, named, lambda missing: column.each(MemberCells(missing)))

    def _separated_by(self, column: Column) -> list[bytes]:
        texts = [column.json(criterion) for criterion in CRITERIA]
        return [texts[number] for number in self._event.sheet.column("separated_by")]

    def _movement(self, _column: Column) -> list[bytes]:
        gained = self._event.sheet.column("movement")
        return [b"null" if number == UNMOVED else b"%d" % number for number in gained]

    def _provisional_points(self, _column: Column) -> list[int]:
        numbers = self._event.sheet.numbers
        provisional: list[int] = (numbers[:, COLUMN["points"]] - numbers[:, COLUMN["settled_points"]]).tolist()
        return provisional

    _MADE: ClassVar[Mapping[str, "Callable[[RowTable, Column], list[int] | list[bytes]]"]] = {
        "id": _id,
        "member": _member,
        "separated_by": _separated_by,
        "movement": _movement,
        "provisional_points": _provisional_points,
    }

    @cached_property
    def _rows(self) -> list[LeaderboardRow]:
        event = self._event
        members = {member_id: Member.from_domain(member) for member_id, member in event.members.items()}
        known = {"guessed_matches": event.guessed_matches, "movement": event.movement, "member": members}
        batch = RowBatch(event.board, event.rows, head=event.head, known=known)
        return [LeaderboardRow.from_domain(row, batch) for row in event.rows]


def as_list(table: RowTable) -> list[LeaderboardRow]:
    """What the types of the schema call it."""
    return cast("list[Any]", table)


def row_ids(event: events.Snapshot | events.Delta, members: Sequence[bytes]) -> list[bytes]:
    """As JSON: most were written before."""
    return event.texts.of("id", members, lambda missing: json_row_ids(event.head, missing))
