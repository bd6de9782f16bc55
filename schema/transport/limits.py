"""The bounds of a request. They are the same for every transport."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may ask at once. Sizes in bytes, times in seconds."""

    body: int = 256 * 1024
    message: int = 64 * 1024
    document: int = 16 * 1024
    tokens: int = 1_000
    nesting: int = 64
    """Of brackets in a document, and of arrays and objects in variables."""
    list_items: int = 250
    """In each list of the variables."""
    depth: int = 12
    introspection_depth: int = 20
    schemas: int = 1
    aliases: int = 20
    root_fields: int = 10
    operations: int = 5
    fragments: int = 30
    expansions: int = 500
    """Fields and spreads after every fragment is put in its places would be this many times the document's at most."""
    directives: int = 50
    directives_a_field: int = 5
    cost: int = 10_000
    errors: int = 10
    documents_kept: int = 256
    documents_followed: int = 500
    """Different ones of all the streams of a process."""
    body_seconds: float = 10.0
    request_seconds: float = 10.0
    operations_a_socket: int = 20
    operation_id: int = 4_096
    """Characters: it goes before each message of its stream."""
    connections_a_member: int = 10
    """Websockets and event streams of one process together."""
