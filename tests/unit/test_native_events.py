"""What is known of the events of a document is known to all who execute it, and of each operation apart."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
import strawberry
from graphql import DocumentNode, ExecutionResult, GraphQLSchema, execute_subscription_event, parse, validate

from schema.transport.executor import NativeExecutor
from schema.transport.selections import Selections


@strawberry.type
class Side:
    name: str


@strawberry.type
class Goal:
    minute: int
    scorer: str
    side: Side | None = None


@strawberry.type
class Query:
    minute: int


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def goals(self) -> AsyncGenerator[Goal, None]:
        yield Goal(minute=1, scorer="A")


SCHEMA: GraphQLSchema = strawberry.Schema(query=Query, subscription=Subscription)._schema
DOCUMENT = parse("""
subscription Short { told: goals { minute } }
subscription Long($who: Boolean!) { goals { minute scorer @include(if: $who) } }
""")
SELECTIONS = Selections(SCHEMA, DOCUMENT)
OPTIONAL = parse("""
subscription Below($who: Boolean = true) { goals { minute side { name @include(if: $who) } } }
subscription All($who: Boolean = true) { goals { minute @include(if: $who) } }
""")


def executor(name: str, **variables: bool) -> NativeExecutor:
    return executor_of(DOCUMENT, SELECTIONS, name, variables)


def executor_of(document: DocumentNode, selections: Selections, name: str, variables: dict[str, Any]) -> NativeExecutor:
    made = NativeExecutor.build(
        SCHEMA, document, operation_name=name, raw_variable_values=variables, selections=selections
    )
    assert isinstance(made, NativeExecutor), made
    return made


def test_each_operation_and_each_way_its_conditions_fall_is_answered_as_it_asks() -> None:
    assert validate(SCHEMA, DOCUMENT) == []
    for minute in (1, 2):  # found out, then known
        goal = Goal(minute=minute, scorer="B")
        assert executor("Short").complete_event(goal) == {"told": {"minute": minute}}
        assert executor("Long", who=False).complete_event(goal) == {"goals": {"minute": minute}}
        assert executor("Long", who=True).complete_event(goal) == {"goals": {"minute": minute, "scorer": "B"}}


@pytest.mark.parametrize(("name", "shown"), [("Below", {"goals": {"minute": 1, "side": None}}), ("All", None)])
def test_a_condition_that_is_null_is_told_in_the_answer_to_the_event(name: str, shown: object) -> None:
    assert validate(SCHEMA, OPTIONAL) == []
    selections, goal = Selections(SCHEMA, OPTIONAL), Goal(minute=1, scorer="B", side=Side(name="home"))
    assert executor_of(OPTIONAL, selections, name, {}).complete_event(goal) is not None
    made = executor_of(OPTIONAL, selections, name, {"who": None})
    assert made.complete_event(goal) is None
    result = execute_subscription_event(made.build_per_event_executor(goal))
    assert isinstance(result, ExecutionResult)
    assert (result.data, len(result.errors or ())) == (shown, 1)


def test_it_is_found_out_once() -> None:
    executor("Short").complete_event(Goal(minute=1, scorer="C"))
    known = SELECTIONS.known({})
    before = dict(known.events)
    assert len(before) == 1
    executor("Short").complete_event(Goal(minute=2, scorer="C"))
    assert known.events == before
