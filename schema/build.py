"""Builds the schema, and prints it."""

from datetime import datetime
from functools import cache
from pathlib import Path

import strawberry
from graphql import GraphQLSchema, print_schema
from strawberry.schema.config import StrawberryConfig

from schema.mutation import Mutation
from schema.query import Query
from schema.scalars import DATE_TIME
from schema.subscription import Subscription

SDL_FILE = Path(__file__).parent / "schema.graphql"


@cache
def build_schema() -> GraphQLSchema:
    """The schema, made once; executing and limiting requests is not strawberry's but `schema.transport`'s part."""
    config = StrawberryConfig(disable_field_suggestions=True, scalar_map={datetime: DATE_TIME})
    schema = strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription, config=config)
    return schema._schema  # noqa: SLF001 -- strawberry has no public name for the schema that it has built


def sdl(schema: GraphQLSchema) -> str:
    """The schema as the committed file has it."""
    return print_schema(schema) + "\n"
