"""A small GraphQL client for tests, and the documents of the contract. Over HTTP or straight into the application."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2
from starlette.types import ASGIApp

TESTS = Path(__file__).resolve().parents[1]
CONTRACT = TESTS / "contract" / "contract"
REDUCED = TESTS / "contract"


def operation_names(folder: Path) -> list[str]:
    """The operation files of a folder, by name."""
    return sorted(path.stem for path in (folder / "operations").glob("*.graphql"))


def read_operation(name: str, folder: Path = CONTRACT) -> str:
    """The document in an operation file, unchanged."""
    return (folder / "operations" / f"{name}.graphql").read_text()


def id_of(kind: str, *parts: Any) -> str:
    """A global id, written here a second time."""
    text = ":".join([kind, *("" if part is None else getattr(part, "hex", str(part)) for part in parts)])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `data` fails the test when there are top-level errors."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        assert "errors" not in self.body, self.body["errors"]
        found: dict[str, Any] = self.body["data"]
        return found

    @property
    def errors(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["errors"]
        return found

    @property
    def codes(self) -> list[str]:
        return [error["extensions"]["code"] for error in self.errors]

    @property
    def extensions(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["extensions"]
        return found


class GraphQLClient:
    """One client with its own cookies; `token` is sent as a bearer token."""

    def __init__(self, target: ASGIApp | str, *, token: str | None = None, address: str = "127.0.0.1") -> None:
        options: dict[str, Any] = {"base_url": target if isinstance(target, str) else "http://127.0.0.1:8000"}
        if not isinstance(target, str):
            options["transport"] = httpx2.ASGITransport(app=target, client=(address, 1234))
        self.http = httpx2.AsyncClient(**options, timeout=30)
        self.token = token

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def run(self, document: str, variables: Mapping[str, Any] | None = None, **headers: str) -> Answer:
        """POST a document."""
        return await self.send({"query": document, "variables": variables}, **headers)

    async def operation(self, name: str, /, _folder: Path = CONTRACT, **variables: Any) -> Answer:
        """POST an operation file of the contract."""
        return await self.run(read_operation(name, _folder), variables)

    async def send(self, body: object, **headers: str) -> Answer:
        """POST any JSON."""
        response = await self.http.post("/graphql", json=body, headers=self._headers(headers))
        return answer_of(response)

    async def post(self, content: bytes, **headers: str) -> Answer:
        """POST raw bytes as JSON."""
        given = {"content-type": "application/json", **self._headers(headers)}
        return answer_of(await self.http.post("/graphql", content=content, headers=given))

    async def get(self, **parameters: str) -> Answer:
        """GET with a query string."""
        return answer_of(await self.http.get("/graphql", params=parameters, headers=self._headers({})))

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return {**({"authorization": f"Bearer {self.token}"} if self.token else {}), **given}


def answer_of(response: httpx2.Response) -> Answer:
    """An answer, which must be JSON."""
    return Answer(response.status_code, response.headers, response.json())
