"""A GraphQL request as clients write it, in JSON or in the query string."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from schema.transport.faults import Kind, refused
from schema.transport.limits import Limits


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """What is to be executed."""

    query: str
    variables: Mapping[str, Any]
    operation_name: str | None


def read_json(raw: bytes, limits: Limits) -> object:
    """A JSON value, safely.

    Raises:
        RequestRefused: not JSON in UTF-8, nested too deeply, or with numbers that no JSON has.
    """
    value = parse_json(raw)
    check_json(raw, value, limits)
    return value


def parse_json(raw: bytes) -> object:
    """A JSON value, whatever is in it.

    Raises:
        RequestRefused: not JSON in UTF-8, or with numbers that no JSON has.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as problem:
        raise refused(Kind.MALFORMED, "This is not JSON in UTF-8.") from problem


def check_json(raw: bytes, value: object, limits: Limits) -> None:
    """Whether a value is such as may go on from here; `raw` is its text.

    Raises:
        RequestRefused: nested too deeply, or with lists that are too long or text that nothing holds.
    """
    if not _is_harmless(raw, limits):
        _check_values(value, limits)


def read_request(value: object) -> GraphQLRequest:
    """A request out of a JSON object.

    Raises:
        RequestRefused: it is something else, or a part of it has the wrong type.
    """
    if not isinstance(value, dict):
        raise refused(Kind.MALFORMED, "A GraphQL request must be one JSON object.")
    query = value.get("query")
    if not isinstance(query, str) or not query:
        raise refused(Kind.MALFORMED, "`query` must be a document as a string.")
    operation_name = value.get("operationName")
    if not isinstance(operation_name, str | None):
        raise refused(Kind.MALFORMED, "`operationName` must be a string or null.")
    variables = _object(value, "variables")
    _object(value, "extensions")
    return GraphQLRequest(query, variables, operation_name or None)


def read_query_string(parameters: Mapping[str, str], limits: Limits) -> GraphQLRequest:
    """A request out of a query string; `variables` and `extensions` are JSON in it.

    Raises:
        RequestRefused: a part of it has the wrong type.
    """
    value: dict[str, object] = {key: parameters[key] for key in ("query", "operationName") if key in parameters}
    for key in ("variables", "extensions"):
        if parameters.get(key):
            value[key] = read_json(parameters[key].encode("utf-8", "surrogatepass"), limits)
    return read_request(value)


def _object(value: Mapping[str, object], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise refused(Kind.MALFORMED, f"`{name}` must be an object or null.")
    return found


def _is_harmless(raw: bytes, limits: Limits) -> bool:
    """Whether the text alone shows that nothing is refused below, as that of nearly all requests does."""
    nested = raw.count(b"{") + raw.count(b"[")
    return nested <= limits.nesting and raw.count(b",") < limits.list_items and b"\\u0000" not in raw


def _check_values(value: object, limits: Limits) -> None:
    """Refuse what no part behind this one takes: endless lists and nesting, and NUL, which Postgres cannot hold."""
    layer = [value]
    for _ in range(limits.nesting + 1):
        if any(isinstance(item, list) and len(item) > limits.list_items for item in layer):
            raise refused(Kind.MALFORMED, f"A list may have at most {limits.list_items} items.")
        if any(isinstance(item, str) and "\0" in item for item in layer):
            raise refused(Kind.MALFORMED, "Text must not have NUL characters.")
        layer = [item for outer in layer for item in _items(outer)]
        if not layer:
            return
    raise refused(Kind.MALFORMED, f"JSON must not be nested more than {limits.nesting} deep.")


def _items(value: object) -> list[object]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else []
