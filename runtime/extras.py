"""Owns what is said when a setting asks for a library that was left out of the installation."""

from collections.abc import Iterator
from contextlib import contextmanager

from runtime.errors import SetupError


@contextmanager
def extra(name: str, *, asked_by: str) -> Iterator[None]:
    """A block that needs the libraries of an extra, because of a setting.

    Raises:
        SetupError: one of them is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as problem:
        raise SetupError(
            f"{asked_by} needs the Python library {problem.name}, which is not installed: "
            f"install palpite[{name}] in place of palpite."
        ) from problem
