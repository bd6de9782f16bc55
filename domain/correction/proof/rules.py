"""How two proofs of a match are compared, and what a difference is called. Pure."""

from collections.abc import Iterable, Iterator

from domain.correction.comparison import MemberDifference
from domain.correction.proof.model import Difference, DifferenceKind, Line, MatchProof
from domain.scoring.model import Facts, GuessFact
from domain.settlement.rules import Scoreline, effect_digest


def digest_of_match(proof: MatchProof) -> str:
    """The digest that a settlement of these lines must have."""
    lines = [Scoreline(basis, goals, line.facts, line.guesses) for (basis, goals), line in proof.lines.items()]
    return effect_digest(proof.match_id, proof.revision, lines)


def differences_of_match(recorded: MatchProof, recomputed: MatchProof) -> Iterator[Difference]:
    """What differs between a match's settlement and the same worked out anew."""
    digest = digest_of_match(recomputed)
    if (recorded.effect_digest, recorded.guesses) != (digest, recomputed.guesses):
        yield Difference(
            DifferenceKind.SETTLEMENT,
            recorded.match_id,
            None,
            None,
            f"result {recorded.revision}",
            f"{recorded.guesses} guesses, digest {recorded.effect_digest}",
            f"{recomputed.guesses} guesses, digest {digest}",
        )
    for key in sorted(recorded.lines.keys() | recomputed.lines.keys()):
        old, new = recorded.lines.get(key), recomputed.lines.get(key)
        if old != new:
            basis, goals = key
            what = f"guess {goals.home}-{goals.away}"
            yield Difference(
                DifferenceKind.SCORELINE, recorded.match_id, None, basis, what, line_words(old), line_words(new)
            )


def differences_of_members(found: Iterable[MemberDifference]) -> Iterator[Difference]:
    """The same of members' sums."""
    for member in found:
        yield Difference(
            DifferenceKind.MEMBER,
            None,
            member.member_id,
            member.basis,
            "facts",
            facts_words(member.before),
            facts_words(member.after),
        )


def in_words(difference: Difference) -> str:
    """A difference in one line, for reports and digests."""
    about = difference.match_id or difference.member_id
    basis = f" {difference.basis}" if difference.basis else ""
    words = f"recorded {difference.recorded}; worked out {difference.recomputed}"
    return f"{difference.kind} {about}{basis}, {difference.what}: {words}"


def line_words(line: Line | None) -> str:
    """A scoreline in words."""
    return "nothing" if line is None else f"{line.guesses} guesses, {facts_words(line.facts)}"


def facts_words(facts: Facts | None) -> str:
    """Facts in words, in the order of the ruleset's weights."""
    if facts is None:
        return "no row"
    return ", ".join(
        f"{fact.value.lower().replace('_', ' ')} {count}" for fact, count in zip(GuessFact, facts, strict=True)
    )
