import re

from domain.execution.model import TRANSITIONS, ExecutionState
from tests.support.documents import FILE, written


def test_states_and_policies_in_the_docs_are_those_of_the_code() -> None:
    text = FILE.read_text()

    assert text == written(text), "run `python -m tests.support.documents`"


def test_the_diagram_has_every_transition_and_no_other() -> None:
    """Read back from the file, by another way than it was written."""
    shown = set(re.findall(r"^    (\w+) --> (\w+)$", FILE.read_text(), re.MULTILINE))

    assert {(ExecutionState(before), ExecutionState(after)) for before, after in shown} == {
        (before, after) for before, following in TRANSITIONS.items() for after in following
    }
