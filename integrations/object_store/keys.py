"""What a key of an object store may look like."""

from pathlib import PurePosixPath


def parts_of(key: str) -> tuple[str, ...]:
    """The parts of a key.

    Raises:
        ValueError: it is empty, or would lead out of the store.
    """
    parts = PurePosixPath(key).parts
    if not parts or any(part in {"..", "/", "."} or "\0" in part for part in parts):
        raise ValueError(f"{key!r} is no key of an object store")
    return parts
