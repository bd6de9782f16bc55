"""Earlier moments of boards have one text each, which leads back to them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import RoundId
from domain.leaderboard.model import AfterRound, AtTime, AtVersion, Moment
from domain.leaderboard.past.moments import moment_text, read_moment

MOMENTS = st.one_of(
    st.integers(0, 2**63).map(AtVersion),
    st.datetimes(timezones=st.just(UTC)).map(AtTime),
    st.uuids().map(RoundId).map(AfterRound),
)


@given(MOMENTS)
def test_a_moment_is_read_from_its_text(moment: Moment) -> None:
    assert read_moment(moment_text(moment)) == moment


def test_now_is_no_text_and_one_instant_has_one_text() -> None:
    assert (moment_text(None), read_moment("")) == ("", None)
    noon = datetime(2026, 6, 11, 12, 0, 0, 7, UTC)
    in_rio = noon.astimezone(timezone(timedelta(hours=-3)))
    assert moment_text(AtTime(in_rio)) == moment_text(AtTime(noon)) == "t1781179200000007"


@pytest.mark.parametrize("text", ["v", "v01", "v+1", "v1 ", "t1.5", f"t{2**80}", "r1", "x1", "1", "vé"])
def test_any_other_text_is_of_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- its message is nobody's to read
        read_moment(text)
