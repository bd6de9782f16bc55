"""What is known of the events of a document is known to all who execute it, and of each operation apart."""

from collections.abc import AsyncGenerator

import strawberry
from graphql import GraphQLSchema, parse, validate

from schema.transport.executor import NativeExecutor
from schema.transport.selections import Selections


@strawberry.type
class Goal:
    minute: int
    scorer: str


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


def executor(name: str, **variables: bool) -> NativeExecutor:
    made = NativeExecutor.build(
        SCHEMA, DOCUMENT, operation_name=name, raw_variable_values=variables, selections=SELECTIONS
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


def test_it_is_found_out_once() -> None:
    executor("Short").complete_event(Goal(minute=1, scorer="C"))
    known = SELECTIONS.known({})
    before = dict(known.events)
    assert len(before) == 1
    executor("Short").complete_event(Goal(minute=2, scorer="C"))
    assert known.events == before
