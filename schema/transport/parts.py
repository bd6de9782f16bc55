"""Parts of an answer that are the same for all viewers: executed once for each state of what they show, kept as JSON.

The rest of the answer is executed for the viewer, from the same object: a page of a board and the viewer's row are of
one board, which was opened with the viewer's rights.
"""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any

import orjson
from graphql import FieldNode, GraphQLObjectType, OperationDefinitionNode

from schema.sharing import PARTS, Parted
from schema.transport.answers import Query, SharedAnswers
from schema.transport.selections import Selections


class Parts:
    """Those of one operation."""

    def __init__(
        self,
        answers: SharedAnswers,
        selections: Selections,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> None:
        """`variables` as the client sent them."""
        self._answers = answers
        self._selections = selections
        self._operation = operation
        self._variables = variables

    def holds(self, kind: GraphQLObjectType, source: object, nodes: Sequence[FieldNode]) -> bool:
        """Whether a field is such a part, with all that is selected below it."""
        is_part = nodes[0].name.value in PARTS.get(kind.name, ()) and isinstance(source, Parted)
        return is_part and self._selections.are_shareable(kind, nodes)

    async def answer(
        self, source: Parted, nodes: Sequence[FieldNode], execute: Callable[[], Awaitable[dict[str, Any]]]
    ) -> orjson.Fragment | None:
        """The part, executed with nobody as the viewer if need be; None when it has errors or the source moved on."""
        state, tournament_id = source.state()

        async def execute_and_look() -> dict[str, Any]:
            found = await execute()
            return found if source.state()[0] == state else {"errors": ["moved"]}

        key = (self._key(nodes), state)
        kept = await self._answers.answer(Query(key, tournament_id, 0, is_versioned=True), execute_and_look)
        return None if kept is None else orjson.Fragment(kept.data)

    def _key(self, nodes: Sequence[FieldNode]) -> Hashable:
        """Equal for the same place in the same document with the same variables, but those that matter elsewhere."""
        spare = self._selections.spare(self._operation, nodes)
        kept = {name: value for name, value in self._variables.items() if name not in spare}
        # The operation too: what was not sent has its defaults.
        places = self._selections.places([self._operation, *nodes])
        return self._selections.text, places, orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
