"""The image without a container engine: the steps and commands of Dockerfile and compose.yaml, on folders of a test."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.palpite import REPOSITORY, environment

SOURCE, INSTALLED, DATA = "/src", "/opt/palpite", "/data"
"""Folders of the image."""
_WORDS = re.compile(r"^([A-Z]+)\s+(.*)$", re.DOTALL)
# Neither changes what is installed.
_QUICKER = {"UV_LINK_MODE": "hardlink", "UV_COMPILE_BYTECODE": "0"}
_PACKAGES = ("domain", "integrations", "live", "migrations", "resolvers", "runtime", "schema", "tasks", "web")


@dataclass(frozen=True, slots=True)
class Instruction:
    name: str
    argument: str

    def words(self) -> list[str]:
        """The words of a list in brackets."""
        found: list[str] = yaml.safe_load(self.argument)
        return found


def stages() -> list[list[Instruction]]:
    """The instructions of the Dockerfile by stage; what stands before the first one belongs to it."""
    lines = (REPOSITORY / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if line.strip() and not line.startswith("#")).replace("\\\n", " ")
    found: list[list[Instruction]] = [[]]
    for line in text.splitlines():
        matched = _WORDS.match(line)
        assert matched is not None, line
        if matched[1] == "FROM" and any(one.name == "FROM" for one in found[-1]):
            found.append([])
        found[-1].append(Instruction(matched[1], matched[2]))
    return found


def compose() -> dict[str, Any]:
    """The file of Docker Compose."""
    found: dict[str, Any] = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
    return found


@dataclass(frozen=True, slots=True)
class Image:
    """What the Dockerfile makes, below a folder."""

    folder: Path

    def build(self) -> None:
        """Run the steps of the first stage, but for the one that fetches uv, which is here."""
        _copy_context(self.folder / "src")
        (self.folder / "installed").mkdir()
        (self.folder / "data").mkdir()
        build = stages()[0]
        set_by_file = {**_arguments(build), **_variables(build)}
        for step in build:
            if step.name == "RUN" and not step.argument.startswith("pip install"):
                self._run(["sh", "-ec", self.here(step.argument)], self._build_environment(set_by_file))

    def variables(self) -> dict[str, str]:
        """What the image says of the environment of its processes."""
        return {name: self.here(value) for name, value in _variables(stages()[1]).items() if name != "PATH"}

    def command(self, arguments: list[str]) -> list[str]:
        """The entry point with arguments, as an engine would run it."""
        entry = next(one for one in stages()[1] if one.name == "ENTRYPOINT").words()
        return [str(self.program(entry[0])), *entry[1:], *arguments]

    def health_check(self) -> list[str]:
        """The command of the image's health check."""
        argument = next(one for one in stages()[1] if one.name == "HEALTHCHECK").argument
        words: list[str] = yaml.safe_load(argument.partition(" CMD ")[2])
        return [str(self.program(words[0])), *words[1:]]

    def program(self, name: str) -> Path:
        return self.folder / "installed" / "venv" / "bin" / name

    def site_packages(self) -> Path:
        return next((self.folder / "installed" / "venv" / "lib").glob("python3.*")) / "site-packages"

    def here(self, text: str) -> str:
        """A text of the Dockerfile with the folders of this test."""
        for theirs, ours in ((SOURCE, "src"), (INSTALLED, "installed"), (DATA, "data")):
            text = re.sub(rf"(?<![\w.]){theirs}(?![\w])", str(self.folder / ours), text)
        return text

    def _build_environment(self, set_by_file: Mapping[str, str]) -> dict[str, str]:
        uv = next((REPOSITORY / ".tools").glob(f"{set_by_file['UV']}/bin"), None) or Path(_found_uv()).parent
        path = os.pathsep.join([str(uv), str(Path(sys.base_prefix) / "bin"), os.environ["PATH"]])
        return {**environment(_trust()), **set_by_file, **_QUICKER, "PATH": path}

    def _run(self, command: list[str], env: dict[str, str]) -> None:
        env.pop("VIRTUAL_ENV", None)
        done = subprocess.run(
            command, cwd=self.folder / "src", env=env, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"


def tracked_files() -> list[str]:
    """The files of the packages, as git knows them."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *_PACKAGES]
    found = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return [name for name in found.stdout.splitlines() if (REPOSITORY / name).is_file()]


def _copy_context(target: Path) -> None:
    """What .dockerignore lets through; it names folders and files at the top that are let through, and nothing else."""
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    for name in (line.removeprefix("!") for line in lines if line.startswith("!")):
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)


def _arguments(stage: list[Instruction]) -> dict[str, str]:
    pairs = [one.argument.partition("=") for one in stage if one.name == "ARG"]
    return {name: value for name, _, value in pairs}


def _variables(stage: list[Instruction]) -> dict[str, str]:
    pairs = [word.partition("=") for one in stage if one.name == "ENV" for word in shlex.split(one.argument)]
    return {name: value for name, _, value in pairs}


def _found_uv() -> str:
    found = shutil.which("uv")
    assert found is not None, "run `make install` first: it brings uv"
    return found


def _trust() -> dict[str, str]:
    """As the Makefile: trust what the machine trusts."""
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    if not certificates.is_file():
        return {}
    return {"UV_SYSTEM_CERTS": "1", "NODE_EXTRA_CA_CERTS": str(certificates)}
