"""The messages of graphql-transport-ws: what a client may send, checked to the letter."""

from dataclasses import dataclass, replace
from typing import Any

from schema.transport.faults import RequestRefused
from schema.transport.limits import Limits
from schema.transport.requests import GraphQLRequest, check_json, parse_json, read_request

PROTOCOL = "graphql-transport-ws"


@dataclass(frozen=True, slots=True)
class Init:
    """Begin; `authorization` is what the payload says."""

    authorization: object


@dataclass(frozen=True, slots=True)
class Ping:
    payload: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Pong:
    pass


@dataclass(frozen=True, slots=True)
class Subscribe:
    id: str
    request: GraphQLRequest
    refusal: RequestRefused | None = None
    """What is wrong with its values: nothing that breaks the protocol."""


@dataclass(frozen=True, slots=True)
class Complete:
    id: str


Message = Init | Ping | Pong | Subscribe | Complete


class BadMessage(Exception):
    """Breaks the protocol: the socket is closed with 4400 and this reason (at most 123 bytes)."""


def read_message(text: str, limits: Limits) -> Message:
    """A message of a client.

    Raises:
        BadMessage: it is none.
    """
    raw = text.encode("utf-8", "surrogatepass")
    try:
        value = parse_json(raw)
    except RequestRefused as problem:
        raise BadMessage(str(problem)[:100]) from problem
    if not isinstance(value, dict):
        raise BadMessage("A message must be a JSON object")
    try:
        check_json(raw, value, limits)
    except RequestRefused as problem:
        if value.get("type") != "subscribe":
            raise BadMessage(str(problem)[:100]) from problem
        return replace(_subscribe(value, limits), refusal=problem)
    match value.get("type"):
        case "connection_init":
            payload = _payload(value)
            return Init(payload.get("authorization", payload.get("Authorization")) if payload else None)
        case "ping":
            return Ping(_payload(value))
        case "pong":
            _payload(value)
            return Pong()
        case "subscribe":
            return _subscribe(value, limits)
        case "complete":
            return Complete(_id(value))
    raise BadMessage("Unknown type of message")


def _subscribe(value: dict[str, Any], limits: Limits) -> Subscribe:
    operation_id = _id(value)
    if len(operation_id) > limits.operation_id:
        raise BadMessage(f"`id` may have at most {limits.operation_id} characters")
    try:
        return Subscribe(operation_id, read_request(value.get("payload")))
    except RequestRefused as problem:
        raise BadMessage(str(problem)[:100]) from problem


def _id(value: dict[str, Any]) -> str:
    found = value.get("id")
    if not isinstance(found, str) or not found:
        raise BadMessage("`id` must be a string that is not empty")
    return found


def _payload(value: dict[str, Any]) -> dict[str, Any] | None:
    found = value.get("payload")
    if not isinstance(found, dict | None):
        raise BadMessage("`payload` must be an object")
    return found
