"""Which variables parts of a document ask."""

from collections.abc import Iterable
from typing import Any

from graphql import DirectiveNode, Node, VariableNode, Visitor, visit


def variables_of(nodes: Iterable[Node]) -> frozenset[str]:
    """Names of the variables anywhere in these nodes."""
    found = _Variables()
    for node in nodes:
        visit(node, found)
    return frozenset(found.names)


def variables_of_directives(node: Node) -> frozenset[str]:
    """Names of those that directives in a node ask."""
    found = _Directives()
    visit(node, found)
    return variables_of(found.nodes)


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.names.add(node.name.value)


class _Directives(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[DirectiveNode] = []

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        self.nodes.append(node)
