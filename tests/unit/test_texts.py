"""What has been written of rows is written once."""

from collections.abc import Sequence

from live.texts import Texts


def test_only_what_is_missing_is_written_and_all_comes_in_order() -> None:
    texts, written = Texts(), list[list[str]]()

    def write(missing: Sequence[str]) -> list[bytes]:
        written.append(list(missing))
        return [key.encode() for key in missing]

    assert texts.of("id", ["a", "b"], write) == [b"a", b"b"]
    assert texts.of("id", ["c", "b", "d", "a"], write) == [b"c", b"b", b"d", b"a"]
    assert texts.of("id", ["d", "c"], write) == [b"d", b"c"]
    assert texts.of("name", ["a"], lambda missing: [b"A" for _ in missing]) == [b"A"]
    assert written == [["a", "b"], ["c", "d"]]
