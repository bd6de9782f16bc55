"""Puts the domain's enums into the schema, with the contract's words for each value."""

from enum import StrEnum

import strawberry
from strawberry.types.enum import EnumValue, StrawberryEnumDefinition, has_enum_definition


def describe(kind: type[StrEnum], description: str, /, **values: str) -> None:
    """Publish an enum under its own name: the values named here, each with what it means."""
    if not has_enum_definition(kind):  # else a type that was loaded earlier has named it already
        strawberry.enum(kind)
    definition: StrawberryEnumDefinition = kind.__strawberry_definition__  # type: ignore[attr-defined]
    definition.description = description
    definition.values = [
        EnumValue(name=name, value=kind[name].value, description=text) for name, text in values.items()
    ]
