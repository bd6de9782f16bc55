"""The architecture as it can be read from the files: import contracts, sizes, words, names of packages."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("schema", "resolvers", "domain", "tasks", "live", "integrations", "runtime", "migrations", "web")
SOURCES = sorted(
    path
    for package in PACKAGES
    for path in (REPOSITORY / package).rglob("*.py")
    if "migrations/versions" not in path.as_posix()
)
_STANDARD = sys.stdlib_module_names
_PURE = ("model.py", "rules.py")
_LONGEST_FILE = 400


def _name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def test_every_import_contract_is_kept() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("package", "line", "contract"),
    [
        ("domain/league", "import runtime", "The domain knows no framework"),
        ("domain/league", "import strawberry", "The domain knows no framework"),
        ("domain/league", "import sqlalchemy", "In the domain only tables and stores import sqlalchemy"),
        ("resolvers", "import schema", "An API request goes down"),
        ("resolvers", "import live", "Resolvers, tasks, live and integrations are independent"),
        ("live", "import integrations", "Resolvers, tasks, live and integrations are independent"),
        ("schema", "import integrations", "Schema uses neither tasks nor integrations"),
        ("live", "import sqlalchemy", "Outside the domain only runtime and migrations import sqlalchemy"),
    ],
)
def test_a_contract_breaks_when_it_is_violated(tmp_path: Path, package: str, line: str, contract: str) -> None:
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / package).mkdir(exist_ok=True)
    (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / package / "service.py").write_text(line + "\n")
    (tmp_path / "pyproject.toml").write_text((REPOSITORY / "pyproject.toml").read_text())

    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    broken = re.findall(r"^(.+) BROKEN$", done.stdout, re.MULTILINE)
    assert any(name.startswith(contract) for name in broken), done.stdout


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.parent.parent.name == "domain" and path.name in _PURE], ids=_name
)
def test_models_and_rules_know_the_standard_library_only(path: Path) -> None:
    """Also through what they import of the domain: a rule that reaches a store is no pure function."""
    assert sorted(_foreign_imports(path, set())) == []


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_a_module_says_what_it_owns_and_is_not_too_long(path: Path) -> None:
    source = path.read_text()

    assert not source.strip() or ast.get_docstring(ast.parse(source)), f"{_name(path)} has no docstring"
    assert source.count("\n") <= _LONGEST_FILE


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_no_print_no_unfinished_work_no_state_of_a_module(path: Path) -> None:
    tree = ast.parse(path.read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]

    assert [call.lineno for call in calls if call.func.id == "print"] == []  # type: ignore[attr-defined]
    assert re.findall(r"\b(TODO|FIXME|XXX|HACK)\b", path.read_text()) == []
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Global)] == []


@pytest.mark.parametrize("name", PACKAGES)
def test_our_packages_are_ours(name: str) -> None:
    """`schema`, `domain` and others exist on the public index: an installed one would win over ours."""
    module = importlib.import_module(name)

    assert Path(next(iter(module.__path__))) == REPOSITORY / name


def test_every_table_is_known_to_the_migrations() -> None:
    listed = (REPOSITORY / "domain" / "all_tables.py").read_text()
    subjects = [path.parent.name for path in (REPOSITORY / "domain").glob("*/tables.py")]

    assert [name for name in subjects if f"domain.{name}.tables" not in listed] == []


def _foreign_imports(path: Path, seen: set[Path]) -> set[str]:
    """What a module and the domain modules below it import that is neither of the two libraries we allow."""
    if path in seen or path == REPOSITORY / "domain" / "ids.py":  # it makes ids; models name their types only
        return set()
    seen.add(path)
    foreign: set[str] = set()
    for name in _run_time_imports(ast.parse(path.read_text())):
        if name.split(".")[0] == "domain":
            foreign |= _foreign_imports(_file_of(name), seen)
        elif name.split(".")[0] not in _STANDARD:
            foreign.add(f"{_name(path)}: {name}")
    return foreign


def _file_of(name: str) -> Path:
    place = REPOSITORY.joinpath(*name.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _run_time_imports(tree: ast.AST) -> list[str]:
    """Names that a module imports when it runs, `from x import y` as x.y where y may be a module."""
    found: list[str] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in inner if _file_of(name).exists()]
            found += modules or [node.module]
        else:
            found += _run_time_imports(node)
    return found
