"""README and docs name commands, files and pages: each of them exists."""

import re
from pathlib import Path

import pytest

from runtime import cli

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
FOLDERS = "bench|docs|domain|integrations|live|migrations|resolvers|runtime|schema|tasks|tests|web"
TARGETS = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
COMMANDS = {name: set[str]() for name in cli._COMMANDS} | {group: set(names) for group, _, names in cli._GROUPS}


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def document(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_every_command_exists(document: Path) -> None:
    text = document.read_text()
    called = re.findall(r"\bpalpite ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", text)

    assert [one for one in called if one[0] not in COMMANDS] == []
    assert [one for one in called if COMMANDS[one[0]] and one[1] not in COMMANDS[one[0]] | {""}] == []
    assert set(re.findall(r"`make ([a-z]+)", text)) <= TARGETS
    assert [name for name in re.findall(r"python -m bench ([a-z_]+)", text) if not _exists(f"bench/{name}.py")] == []


def test_every_file_and_page_exists(document: Path) -> None:
    text = document.read_text()
    named = re.findall(rf"`((?:{FOLDERS})/[\w./-]*\w)", text)
    linked = re.findall(r"\]\((?!https?:)([^)#]+)", text)

    assert [name for name in named if not _exists(name)] == []
    assert [name for name in linked if not (document.parent / name).exists()] == []


def test_every_test_named_without_its_folder_exists(document: Path) -> None:
    names = re.findall(r"`(test_\w+\.py)", document.read_text())

    assert [name for name in names if not list((REPOSITORY / "tests").rglob(name))] == []


def _exists(name: str) -> bool:
    return (REPOSITORY / name).exists()
