"""Table of rulesets. Rows never change."""

from sqlalchemy import CheckConstraint, Column, Integer, SmallInteger, Table, UniqueConstraint

from domain.scoring.model import GuessFact, ScoreBasis
from domain.tables import Uuid, metadata, one_of, text

FACTS = tuple(fact.value.lower() for fact in GuessFact)

rulesets = Table(
    "rulesets",
    metadata,
    Column("id", Uuid, primary_key=True),
    text("code"),
    Column("version", Integer, nullable=False),
    text("label"),
    text("basis"),
    *(Column(fact, SmallInteger, nullable=False) for fact in FACTS),
    UniqueConstraint("code", "version"),
    one_of("basis", ScoreBasis),
    CheckConstraint(" AND ".join(f"{fact} BETWEEN 0 AND 100" for fact in FACTS), name="weights"),
)
