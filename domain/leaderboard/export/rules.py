"""How rows of a board are written into files."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from domain.leaderboard.export.model import ExportFormat
from domain.leaderboard.model import RankedRow

CONTENT_TYPES = {ExportFormat.CSV: "text/csv; charset=utf-8", ExportFormat.JSON: "application/json"}
COLUMNS = (
    "position",
    "rank",
    "denseRank",
    "tied",
    "separatedBy",
    "nickName",
    "points",
    "exactScores",
    "goalDifferences",
    "outcomes",
    "guessedMatches",
    "movement",
    "settledPoints",
    "provisionalPoints",
    "memberId",
)
# A spreadsheet takes a cell that begins so for a formula, and runs it; in many countries a semicolon ends a cell, and
# the next one may have quotes around it.
_FORMULA = re.compile(r"(^|;)(?=[\s\"]*[=+\-@＝＋－＠])")  # noqa: RUF001 -- the wide ones too


@dataclass(frozen=True, slots=True)
class ExportedRow:
    """A member's row with what it shows besides its own numbers."""

    row: RankedRow
    nick_name: str
    guessed_matches: int
    movement: int | None


class Writer(Protocol):
    """Writes a file piece by piece."""

    def begin(self) -> str: ...

    def rows(self, rows: Iterable[ExportedRow]) -> str: ...

    def end(self) -> str: ...


def writer_of(kind: ExportFormat) -> Writer:
    """The writer of a kind of file."""
    return CsvWriter() if kind is ExportFormat.CSV else JsonWriter()


class CsvWriter:
    """RFC 4180, in UTF-8, with a header."""

    def begin(self) -> str:
        return _lines([COLUMNS])

    def rows(self, rows: Iterable[ExportedRow]) -> str:
        return _lines([_cell(value) for value in _values(row).values()] for row in rows)

    def end(self) -> str:
        return ""


class JsonWriter:
    """One array of objects, an object a line."""

    def __init__(self) -> None:
        self._before = "[\n"

    def begin(self) -> str:
        return ""

    def rows(self, rows: Iterable[ExportedRow]) -> str:
        written = []
        for row in rows:
            written.append(self._before + json.dumps(_values(row), ensure_ascii=False))
            self._before = ",\n"
        return "".join(written)

    def end(self) -> str:
        return "[]\n" if self._before == "[\n" else "\n]\n"


def _values(exported: ExportedRow) -> Mapping[str, Any]:
    row = exported.row
    values = (
        row.position,
        row.rank,
        row.dense_rank,
        row.tied,
        row.separated_by,
        exported.nick_name,
        row.points,
        row.exact_scores,
        row.goal_differences,
        row.outcomes,
        exported.guessed_matches,
        exported.movement,
        row.settled_points,
        row.points - row.settled_points,
        str(row.member_id),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _cell(value: object) -> object:
    """A text that is no formula to any spreadsheet; a negative number stays one."""
    return _FORMULA.sub(r"\1'", value) if isinstance(value, str) else value


def _lines(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()
