"""Builds the schema, and prints it."""

import re
from datetime import datetime
from functools import cache
from pathlib import Path

import strawberry
from graphql import GraphQLInputObjectType, GraphQLSchema, print_schema
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
    # Which inputs take one field only is known to strawberry alone, and graphql-core prints.
    names = "|".join(
        kind.name
        for kind in schema.type_map.values()
        if isinstance(kind, GraphQLInputObjectType) and kind.extensions["strawberry-definition"].is_one_of
    )
    return re.sub(rf"^input ({names}) ", r"input \1 @oneOf ", print_schema(schema), flags=re.MULTILINE) + "\n"
