"""What stands in docs/executions.md between marks, worked out from the code: `python -m tests.support.documents`."""

from pathlib import Path

from domain.execution.model import TRANSITIONS
from domain.execution.rules import POLICIES, RetryPolicy, retry_delay

FILE = Path(__file__).parents[2] / "docs" / "executions.md"


def state_diagram() -> str:
    """The table of transitions as a Mermaid diagram."""
    lines = ["[*] --> QUEUED"]
    lines += [f"{before} --> {after}" for before, following in TRANSITIONS.items() for after in sorted(following)]
    lines += [f"{state} --> [*]" for state, following in TRANSITIONS.items() if not following]
    return "\n".join(["```mermaid", "stateDiagram-v2", *(f"    {line}" for line in lines), "```"])


def policy_table() -> str:
    """The retry policies, each with its operations."""
    policies: dict[RetryPolicy, list[str]] = {}
    for operation, policy in POLICIES.items():
        policies.setdefault(policy, []).append(f"`{operation}`")
    head = [
        "| operations | attempts | lost workers | waits in seconds | errors that are final |",
        "|---|---|---|---|---|",
    ]
    rows = [
        f"| {' '.join(names)} | {policy.attempts} | {policy.losses} | {_waits(policy)} | {_final(policy)} |"
        for policy, names in policies.items()
    ]
    return "\n".join(head + rows)


BLOCKS = {"states": state_diagram, "policies": policy_table}


def written(text: str) -> str:
    """A document with its blocks as the code has them."""
    for name, make in BLOCKS.items():
        begin, end = f"<!-- {name}: from the code -->\n", f"\n<!-- end of {name} -->"
        before, rest = text.split(begin)
        text = before + begin + make() + end + rest.split(end)[1]
    return text


def _waits(policy: RetryPolicy) -> str:
    return ", ".join(f"{retry_delay(policy, attempt, 0):g}" for attempt in range(1, policy.attempts))


def _final(policy: RetryPolicy) -> str:
    return " ".join(f"`{code}`" for code in sorted(policy.final))


if __name__ == "__main__":
    FILE.write_text(written(FILE.read_text()))
