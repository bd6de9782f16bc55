"""What is found in parts of a document: which variables they ask, and where fields stand."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from graphql import DirectiveNode, FieldNode, Node, OperationDefinitionNode, VariableNode, Visitor, visit


def variables_of(nodes: Iterable[Node]) -> frozenset[str]:
    """Names of the variables anywhere in these nodes."""
    return frozenset(times_asked(nodes))


def times_asked(nodes: Iterable[Node]) -> Counter[str]:
    """How often each variable stands in these nodes."""
    found = _Variables()
    for node in nodes:
        visit(node, found)
    return found.names


def variables_of_directives(node: Node) -> frozenset[str]:
    """Names of those that directives in a node ask."""
    found = _Directives()
    visit(node, found)
    return variables_of(found.nodes)


def places_of(document: Node) -> Mapping[int, int]:
    """The numbers of operations and fields, by their ids: the same however the document was spaced."""
    found = _Places()
    visit(document, found)
    return found.numbers


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names = Counter[str]()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.names[node.name.value] += 1


class _Directives(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[DirectiveNode] = []

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        self.nodes.append(node)


class _Places(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.numbers: dict[int, int] = {}

    def enter(self, node: Node, *_: Any) -> None:
        if isinstance(node, OperationDefinitionNode | FieldNode):
            self.numbers[id(node)] = len(self.numbers)
