"""Owns the addresses of the pages and their files, and what browsers are told about them (CSP, caching)."""

import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

# Signs a member of the demo in: an answer that sets the cookie, or None when there is no such member.
SignInAs = Callable[[str], Awaitable[Response | None]]

_HERE = Path(__file__).resolve().parent
_DEMO_MARK = "<!-- demo sign-in -->"
_FORM_LIMIT = 1024  # bytes
_MAY_RETURN_TO = re.compile(r"/(graphiql|live|join/[A-Za-z0-9-]+)?")
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
# Monaco makes its style sheets at run time and carries its icon font inside its own.
_EDITOR_POLICY = _POLICY | {
    "style-src": "'self' 'unsafe-inline'",
    "worker-src": "'self' blob:",
    "font-src": "'self' data:",
}


def routes(assets: Path, *, sign_in_as: SignInAs | None = None) -> list[BaseRoute]:
    """All pages. `assets` is the folder that runtime.assets filled; `sign_in_as` is given in demo mode only."""
    demo = _html("demo.html") if sign_in_as else ""
    pages: list[BaseRoute] = [
        _page("/", "index.html", demo),
        _page("/graphiql", "graphiql.html", demo, policy=_EDITOR_POLICY, needs=assets),
        _page("/live", "live.html", needs=assets),
        _page("/live/{tournament_id:str}", "live.html", needs=assets),
        _page("/join/{code:str}", "join.html", needs=assets),
        Mount("/static", _Files(directory=_HERE / "static")),
        Mount("/operations", _Files(directory=_HERE / "operations")),
        Mount("/assets", _Files(directory=assets)),
    ]
    if sign_in_as:
        pages.append(Route("/demo/sign-in", _demo_sign_in(sign_in_as), methods=["POST"]))
    return pages


async def not_found(request: Request, _: Exception) -> Response:
    """The answer to an unknown address: a page for people, a word for programs."""
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_html("not_found.html"), status_code=404, headers=_headers(_POLICY))
    return PlainTextResponse("Not found", status_code=404)


class _Files(StaticFiles):
    """Files that browsers keep but ask about each time, so that a new version is seen at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update({"cache-control": "no-cache", "x-content-type-options": "nosniff"})
        return response


def _page(
    path: str, file: str, demo: str = "", *, policy: Mapping[str, str] = _POLICY, needs: Path | None = None
) -> Route:
    html = _html(file).replace(_DEMO_MARK, demo)

    async def page(_: Request) -> Response:
        if needs and not (needs / ".ok").exists():
            return HTMLResponse(_html("missing.html"), status_code=503, headers=_headers(_POLICY))
        return HTMLResponse(html, headers=_headers(policy))

    return Route(path, page, methods=["GET"])


def _html(file: str) -> str:
    return (_HERE / "html" / file).read_text()


def _headers(policy: Mapping[str, str]) -> dict[str, str]:
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "cache-control": "no-cache",
        "referrer-policy": "no-referrer",  # an invite code stands in the address
        "x-content-type-options": "nosniff",
    }


def _demo_sign_in(sign_in_as: SignInAs) -> Callable[[Request], Awaitable[Response]]:
    async def sign_in(request: Request) -> Response:
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            raise HTTPException(403, "Only from a page of this server.")
        form = await _small_form(request)
        response = await sign_in_as(form.get("nick", ""))
        if response is None:
            raise HTTPException(404)
        back = form.get("next", "/")
        response.status_code = 303
        response.headers["location"] = back if _MAY_RETURN_TO.fullmatch(back) else "/"
        return response

    return sign_in


async def _small_form(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_LIMIT:
            raise HTTPException(413)
    return {name: values[0] for name, values in parse_qs(body.decode("ascii", "replace")).items()}
