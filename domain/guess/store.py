"""SQL of guesses. Who sees a guess and until when it may be given stand here, once each, by the database clock."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Row,
    Select,
    SmallInteger,
    Text,
    and_,
    any_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from domain.guess.model import Guess, GuessInput, GuessState
from domain.guess.tables import guess_revisions, guesses, tournament_members
from domain.ids import LeagueId, MatchId, MemberId, TournamentId
from domain.league.tables import league_members
from domain.match.model import Goals, Match
from domain.match.store import LAST, gate, is_paused, is_settled, lock_passed, select_matches, to_match
from domain.match.tables import matches
from domain.member.tables import members
from domain.tables import Instant, Uuid, among, any_of, or_update

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


def guess_visible(viewer_id: MemberId | ColumnElement[UUID] | None) -> ColumnElement[bool]:
    """Whether a viewer may know of a guess: it is the viewer's own, or the match's lock has passed.

    For statements that join `matches`. Every reader of single guesses goes through it.
    """
    if viewer_id is None:
        return lock_passed()
    return or_(guesses.c.member_id == viewer_id, lock_passed())


# ---------------------------------------------------------------- saving

_MEMBER = bindparam("member", type_=Uuid)


def _take_turn() -> Select[Any]:
    """The member's lock first, then those of the tournaments, by id. Built once: building takes longer than running."""
    key = func.hashtextextended(bindparam("member_key", type_=Text), 0)
    member = select(func.pg_advisory_xact_lock(key).label("locked")).cte("member")
    played = select(matches.c.tournament_id).where(matches.c.id == any_(bindparam("ids", type_=ARRAY(Uuid)))).distinct()
    played_in = played.order_by(matches.c.tournament_id).subquery("played_in")
    turn = select(func.pg_advisory_xact_lock_shared(gate(played_in.c.tournament_id)))
    return turn.select_from(member.join(played_in, true()))


_TURN = _take_turn()


async def lock_member(connection: "AsyncConnection", member_id: MemberId, ids: Iterable[MatchId]) -> None:
    """Let one request of a member save guesses at a time, so that a save never waits between its clock and its row.

    Then let changes of these matches that wait already go first (`domain.match.store.close_gate`).
    """
    await connection.execute(_TURN, {"member_key": f"guesses:{member_id}", "ids": list(ids)})


async def lock_matches(
    connection: "AsyncConnection", member_id: MemberId, ids: Iterable[MatchId]
) -> dict[MatchId, tuple[Match, bool]]:
    """The matches, and whether the member joined their tournaments. Open ones do not change in this transaction."""
    rows = await connection.execute(_LOCK_MATCHES, {"ids": list(ids), "member": member_id})
    return {MatchId(row.id): (to_match(row), row.joined) for row in rows}


async def save(
    connection: "AsyncConnection", member_id: MemberId, given: Sequence[GuessInput], request_id: str
) -> set[MatchId]:
    """Store the guesses whose matches are open at the database's instant of this statement; the answer says which.

    One reading of the clock decides and is stored as `saved_at`. A guess that repeats the stored score is accepted and
    writes nothing. Call `lock_member` and `lock_matches` first.
    """
    values = {
        "match_ids": [item.match_id for item in given],
        "homes": [item.home for item in given],
        "aways": [item.away for item in given],
        "member": member_id,
        "request": request_id,
    }
    return {MatchId(row.match_id) for row in await connection.execute(_SAVE, values)}


def _lock_matches() -> CompoundSelect[Any]:
    joined = exists().where(
        tournament_members.c.tournament_id == matches.c.tournament_id, tournament_members.c.member_id == _MEMBER
    )
    asked = select_matches().add_columns(joined.label("joined")).where(any_of(matches.c.id, "ids"))
    # Those that take no more guesses are only read: their settlement need not wait for who comes late.
    open_ones = asked.where(~lock_passed()).order_by(matches.c.id).with_for_update(read=True, of=matches).cte("open")
    return select(open_ones).union_all(asked.where(matches.c.id.not_in(select(open_ones.c.id))))


def _save() -> Select[Any]:
    # A CTE with a volatile function is computed once, whoever reads it.
    instant = select(func.clock_timestamp().label("at")).cte("instant")
    items = (
        func.unnest(
            bindparam("match_ids", type_=ARRAY(Uuid)),
            bindparam("homes", type_=ARRAY(SmallInteger)),
            bindparam("aways", type_=ARRAY(SmallInteger)),
        )
        .table_valued("match_id", "home", "away", name="items")
        .render_derived()
    )
    accepted = (
        select(matches.c.tournament_id, matches.c.id.label("match_id"), items.c.home, items.c.away, instant.c.at)
        .select_from(items)
        .join(matches, matches.c.id == items.c.match_id)
        .join(instant, true())
        .where(~lock_passed(instant.c.at), ~is_paused(instant.c.at))
        .cte("accepted")
    )
    saved = _write_heads(accepted).cte("saved")
    columns = ["tournament_id", "match_id", "member_id", "revision", "home", "away", "saved_at"]
    new = select(*(saved.c[name] for name in columns), bindparam("request", type_=Text))
    revisions = insert(guess_revisions).from_select([*columns, "request_id"], new).cte("revisions")
    return select(accepted.c.match_id).add_cte(revisions)


def _write_heads(accepted: Any) -> Any:
    source = select(
        accepted.c.tournament_id,
        accepted.c.match_id,
        _MEMBER,
        accepted.c.home,
        accepted.c.away,
        literal(1),
        accepted.c.at,
    )
    names = ["tournament_id", "match_id", "member_id", "home", "away", "revision", "saved_at"]
    statement = insert(guesses).from_select(names, source)
    new = statement.excluded
    changed = or_(guesses.c.home != new.home, guesses.c.away != new.away)
    values = {"home": new.home, "away": new.away, "saved_at": new.saved_at, "revision": guesses.c.revision + 1}
    key = ["tournament_id", "match_id", "member_id"]
    return or_update(statement, key, values, changed).returning(*guesses.c)


_LOCK_MATCHES, _SAVE = _lock_matches(), _save()


# ---------------------------------------------------------------- reading


async def read_own(connection: "AsyncConnection", member_id: MemberId, ids: Iterable[MatchId]) -> list[Guess]:
    """The member's guesses, given or not, for those of the matches whose tournaments the member has joined."""
    rows = await connection.execute(_OWN, {"ids": list(ids), "member": member_id})
    return [_to_guess(row, _goals(row.late_home, row.late_away)) for row in rows]


async def page_of_member(
    connection: "AsyncConnection",
    member_id: MemberId,
    tournament_id: TournamentId,
    *,
    states: Sequence[GuessState] | None,
    first: int,
    after: tuple[datetime | None, MatchId] | None,
) -> tuple[list[Guess], int]:
    """The member's guesses in a tournament, given or not, by kick-off, those without a date last; and how many in all.

    Up to `first` + 1 of those after a kick-off and match. None at all when the member has not joined.
    """
    chosen = [matches.c.tournament_id == tournament_id]
    if states is not None:
        chosen.append(_among_states(states))
    when = func.coalesce(matches.c.kick_off, LAST)
    statement = _own_guesses(literal(member_id, Uuid)).where(*chosen).order_by(when, matches.c.id).limit(first + 1)
    if after is not None:
        position = tuple_(func.coalesce(literal(after[0], Instant), LAST), literal(after[1], Uuid))
        statement = statement.where(tuple_(when, matches.c.id) > position)
    all_of_them = select(func.count()).select_from(_own_matches(literal(member_id, Uuid))).where(*chosen)
    total: int = (await connection.execute(all_of_them)).scalar_one()
    rows = await connection.execute(statement)
    return [_to_guess(row, _goals(row.late_home, row.late_away)) for row in rows], total


def _among_states(states: Sequence[GuessState]) -> ColumnElement[bool]:
    """That a guess, given or not, is in one of the states: `rules.guess_state` once more, by the database clock."""
    is_given = guesses.c.member_id.is_not(None)
    state = case(
        (is_paused(), GuessState.PAUSED.value),
        (and_(is_given, is_settled()), GuessState.FINALIZED.value),
        (is_given, GuessState.WAITING.value),
        (lock_passed(), GuessState.EXPIRED.value),
        else_=GuessState.NOT_STARTED.value,
    )
    return state == any_(literal([each.value for each in states], ARRAY(Text)))


def _own_matches(member_id: ColumnElement[UUID]) -> Any:
    """Matches of the tournaments that a member has joined, with the member's guess where it was given."""
    own = and_(_of_match(), guesses.c.member_id == member_id, guess_visible(member_id))
    has_joined = and_(
        tournament_members.c.tournament_id == matches.c.tournament_id, tournament_members.c.member_id == member_id
    )
    return matches.join(tournament_members, has_joined).outerjoin(guesses, own)


def _own_guesses(member_id: ColumnElement[UUID]) -> Select[Any]:
    """A member's guesses, given or not, with a later save of each that does not count."""
    latest = (
        select(guess_revisions.c.revision, guess_revisions.c.home, guess_revisions.c.away)
        .where(
            guess_revisions.c.tournament_id == matches.c.tournament_id,
            guess_revisions.c.match_id == matches.c.id,
            guess_revisions.c.member_id == member_id,
        )
        .order_by(guess_revisions.c.revision.desc())
        .limit(1)
        .lateral("latest")
    )
    # A later revision than the one that counts was saved after a lock that turned out to be earlier.
    is_late = latest.c.revision > func.coalesce(guesses.c.revision, 0)
    return select(
        matches.c.tournament_id,
        matches.c.id.label("match_id"),
        tournament_members.c.member_id,
        guesses.c.home,
        guesses.c.away,
        guesses.c.revision,
        guesses.c.saved_at,
        latest.c.home.label("late_home"),
        latest.c.away.label("late_away"),
    ).select_from(_own_matches(member_id).outerjoin(latest, is_late))


async def read_given(
    connection: "AsyncConnection", viewer_id: MemberId | None, keys: Sequence[tuple[MatchId, MemberId]]
) -> list[Guess]:
    """Those of the guesses, by match and member, that were given and that the viewer may see."""
    asked = (
        func.unnest(
            bindparam("asked_matches", [key[0] for key in keys], type_=ARRAY(Uuid)),
            bindparam("asked_members", [key[1] for key in keys], type_=ARRAY(Uuid)),
        )
        .table_valued("match_id", "member_id", name="asked")
        .render_derived()
    )
    statement = (
        select(*guesses.c)
        .select_from(asked)
        .join(matches, matches.c.id == asked.c.match_id)
        .join(guesses, and_(_of_match(), guesses.c.member_id == asked.c.member_id))
        .where(guess_visible(viewer_id))
    )
    return [_to_guess(row, None) for row in await connection.execute(statement)]


async def page_of_match(
    connection: "AsyncConnection",
    viewer_id: MemberId,
    match_id: MatchId,
    *,
    league_id: LeagueId | None,
    first: int,
    after: tuple[str, MemberId] | None,
) -> tuple[list[Guess], int]:
    """Guesses given for a match by nick name: up to `first` + 1, and how many in all; none at all before the lock."""
    joined = guesses.join(matches, _of_match()).join(members, members.c.id == guesses.c.member_id)
    # The list is empty before the lock for everybody, so the viewer's own guess does not stand in it either.
    chosen = [matches.c.id == match_id, guess_visible(viewer_id), lock_passed()]
    if league_id is not None:
        chosen.append(guesses.c.member_id.in_(_members_of(league_id)))
    position = tuple_(members.c.nick_name, members.c.id)
    statement = select(*guesses.c).select_from(joined).where(*chosen).order_by(*position).limit(first + 1)
    if after is not None:
        statement = statement.where(position > tuple_(literal(after[0]), literal(after[1], Uuid)))
    total = await connection.execute(select(func.count()).select_from(joined).where(*chosen))
    rows = await connection.execute(statement)
    return [_to_guess(row, None) for row in rows], total.scalar_one()


async def scoreline_counts(
    connection: "AsyncConnection", match_ids: Iterable[MatchId], most: int
) -> list[tuple[MatchId, Goals | None, int]]:
    """Match, score and how often it was guessed, most frequent first, `most` scores of a match; none before the lock.

    A match that has locked and that nobody has guessed comes once, without a score.
    """
    number = func.count(guesses.c.member_id)
    order = (number.desc(), guesses.c.home, guesses.c.away)
    counted = (
        select(
            matches.c.id,
            guesses.c.home,
            guesses.c.away,
            number.label("number"),
            func.row_number().over(partition_by=matches.c.id, order_by=order).label("place"),
        )
        .select_from(matches.outerjoin(guesses, _of_match()))
        .where(among(matches.c.id, match_ids), guess_visible(None))
        .group_by(matches.c.id, guesses.c.home, guesses.c.away)
        .subquery("counted")
    )
    statement = select(counted).where(counted.c.place <= most).order_by(counted.c.id, counted.c.place)
    rows = await connection.execute(statement)
    return [(MatchId(row.id), _goals(row.home, row.away), row.number) for row in rows]


def _members_of(league_id: LeagueId) -> Select[Any]:
    live = league_members.c.left_at.is_(None)
    return select(league_members.c.member_id).where(league_members.c.league_id == league_id, live)


def _of_match() -> ColumnElement[bool]:
    return and_(guesses.c.tournament_id == matches.c.tournament_id, guesses.c.match_id == matches.c.id)


def _to_guess(row: Row[Any], late_goals: Goals | None) -> Guess:
    return Guess(
        tournament_id=TournamentId(row.tournament_id),
        match_id=MatchId(row.match_id),
        member_id=MemberId(row.member_id),
        goals=_goals(row.home, row.away),
        revision=row.revision or 0,
        saved_at=row.saved_at,
        late_goals=late_goals,
    )


def _goals(home: int | None, away: int | None) -> Goals | None:
    return None if home is None or away is None else Goals(home, away)


_OWN = _own_guesses(_MEMBER).where(any_of(matches.c.id, "ids"))
