"""Measures a document before it is validated: each fragment once, however often it is spread.

Without that memo a document of some 1,000 characters can stop a process for minutes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    Lexer,
    OperationDefinitionNode,
    SelectionSetNode,
    Source,
    TokenKind,
)

from schema.transport.faults import Kind, refused, too_complex
from schema.transport.limits import Limits

_OPEN = (TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L)
_CLOSE = (TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R)
_INTROSPECTION = ("__schema", "__type")
_PARTS_OF_TYPES = ("fields", "inputFields", "interfaces", "possibleTypes", "enumValues")


@dataclass(frozen=True, slots=True)
class Size:
    """What a selection amounts to once its fragments are put in."""

    depth: int = 0
    aliases: int = 0
    expansions: int = 0
    lists: int = 0
    """Levels of lists of what types have: each multiplies the answer of introspection by a part of the schema."""
    schemas: int = 0
    """How often it asks for all of the schema."""


def scan(source: Source, limits: Limits) -> None:
    """Count tokens and brackets, before a parser recurses into them.

    Raises:
        RequestRefused: too many.
        GraphQLSyntaxError: not a token.
    """
    lexer, tokens, nesting = Lexer(source), 0, 0
    while (token := lexer.advance()).kind is not TokenKind.EOF:
        kind = token.kind
        tokens += 1
        if token.value is not None and "\0" in token.value:
            raise refused(Kind.DOCUMENT, "Text must not have NUL characters.")
        nesting += (kind in _OPEN) - (kind in _CLOSE)
        if tokens > limits.tokens:
            raise too_complex(f"A document may have at most {limits.tokens} tokens.")
        if nesting > limits.nesting:
            raise too_complex(f"A document may be nested at most {limits.nesting} deep.")


def check_size(document: DocumentNode, limits: Limits) -> None:
    """Check all of a parsed document.

    Raises:
        RequestRefused: too much of something; the message says of what.
    """
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    _require(len(operations), limits.operations, "operations")
    _require(len(fragments), limits.fragments, "fragments")
    _check_directives(document, limits)
    sizes = _Sizes(fragments)
    for operation in operations:
        _check_operation(operation, fragments, sizes, limits)


def _check_operation(
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    sizes: "_Sizes",
    limits: Limits,
) -> None:
    roots = list(_root_fields(operation.selection_set, fragments, set()))
    _require(len(roots), limits.root_fields, "root fields")
    size = sizes.of(operation.selection_set)
    _require(size.aliases, limits.aliases, "aliases")
    _require(size.schemas, limits.schemas, "`__schema`")
    _require(size.expansions, limits.expansions, "selections once its fragments are put in")
    is_introspection = bool(roots) and all(field.name.value.startswith("__") for field in roots)
    _require(size.depth, limits.introspection_depth if is_introspection else limits.depth, "levels of fields")


def _require(found: int, most: int, what: str) -> None:
    if found > most:
        raise too_complex(f"A document may have at most {most} {what}.")


class _Sizes:
    """Sizes of selections; of fragments they are remembered. Spreads in a circle count as nothing: validation tells."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._known: dict[str, Size] = {}
        self._open: set[str] = set()

    def of(self, selections: SelectionSetNode | None) -> Size:
        if selections is None:
            return Size()
        parts = [self._part(node) for node in selections.selections]
        return Size(
            depth=max((part.depth for part in parts), default=0),
            aliases=sum(part.aliases for part in parts),
            expansions=len(parts) + sum(part.expansions for part in parts),
            lists=max((part.lists for part in parts), default=0),
            schemas=sum(part.schemas for part in parts),
        )

    def _part(self, node: object) -> Size:
        match node:
            case FieldNode():
                return self._field(node)
            case InlineFragmentNode():
                return self.of(node.selection_set)
            case FragmentSpreadNode():
                return self._fragment(node.name.value)
        return Size()

    def _field(self, node: FieldNode) -> Size:
        name, below = node.name.value, self.of(node.selection_set)
        if name in _INTROSPECTION and (below.aliases or below.lists > 1):
            raise too_complex(
                "Introspection takes no aliases in `__schema` and `__type`, and no lists of what types have inside one "
                "another: ask for the types by their names, each with a `__type` of its own."
            )
        return Size(
            depth=below.depth + 1,
            aliases=below.aliases + (node.alias is not None),
            expansions=below.expansions,
            lists=below.lists + (name in _PARTS_OF_TYPES),
            schemas=below.schemas + (name == "__schema"),
        )

    def _fragment(self, name: str) -> Size:
        if name in self._known:
            return self._known[name]
        if name in self._open or name not in self._fragments:
            return Size()
        self._open.add(name)
        self._known[name] = size = self.of(self._fragments[name].selection_set)
        self._open.discard(name)
        return size


def _root_fields(
    selections: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode], seen: set[str]
) -> Iterable[FieldNode]:
    for node in selections.selections:
        match node:
            case FieldNode():
                yield node
            case InlineFragmentNode():
                yield from _root_fields(node.selection_set, fragments, seen)
            case FragmentSpreadNode() if node.name.value not in seen and node.name.value in fragments:
                seen.add(node.name.value)
                yield from _root_fields(fragments[node.name.value].selection_set, fragments, seen)


def _check_directives(document: DocumentNode, limits: Limits) -> None:
    total, left = 0, list(document.definitions)
    while left:
        node = left.pop()
        directives = len(getattr(node, "directives", None) or ())
        total += directives
        _require(directives, limits.directives_a_field, "directives at one place")
        below = getattr(node, "selection_set", None)
        left += list(below.selections) if below is not None else []
    _require(total, limits.directives, "directives")
