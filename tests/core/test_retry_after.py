"""The `Retry-After` header: the time at which the store may be asked again."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.retry_after import read_http_date, read_retry_after
from tests.clock import START

NOW = START.replace(microsecond=0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("7", 7), (" 7 ", 7), ("007", 7), ("120", 120), ("999999999", 999_999_999)],
)
def test_seconds(text: str, seconds: int) -> None:
    """A number of seconds is the usual form."""
    assert read_retry_after(text, now=NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Fri, 20 Nov 2026 14:03:21 GMT", 10),
        ("Friday, 20-Nov-26 14:03:21 GMT", 10),
        ("Fri, 20 Nov 2026 14:03:21 -0000", 10),
        ("Fri, 20 Nov 2026 15:03:21 +0100", 10),
        ("Fri, 20 Nov 2026 14:03:11 GMT", 0),
        ("Fri, 20 Nov 2026 13:00:00 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri Nov 20 14:03:21 2026", 10),
    ],
)
def test_dates(text: str, seconds: int) -> None:
    """Every form that HTTP has had for dates; one that is past means now."""
    assert read_retry_after(text, now=NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " ",
        "soon",
        "-1",
        "+5",
        "1.5",
        "7s",
        "7, 8",
        "1" * 10,
        "1" * 5000,
        "٣",
        "²",
        "0x10",
        "NaN",
        "inf",
        "\x00",
        "Fri, 99 Nov 2026 14:03:21 GMT",
        "Fri, 20 Nov 2026 14:03:21 +9999",
        "Fri, 20 Nov 99999 14:03:21 GMT",
        "Fri, 20 Nov 99999999999999999999 14:03:21 GMT",
    ],
)
def test_nonsense_says_nothing(text: str | None) -> None:
    """A header that makes no sense leaves the length of the wait to the gateway."""
    assert read_retry_after(text, now=NOW) is None


@pytest.mark.parametrize("text", [None, "", "soon", "7"])
def test_what_is_no_date_is_none(text: str | None) -> None:
    """A number of seconds is no date."""
    assert read_http_date(text) is None


_dateish = st.lists(
    st.sampled_from(["Mon,", "20", "Nov", "2026", "14:03:21", "GMT", "-0000", "+9999", "-", ":", ",", "9" * 20, "("]),
    max_size=8,
).map(" ".join)


@given(st.text(max_size=40) | st.text("0123456789+-., :GMT", max_size=40) | _dateish)
def test_any_text_is_read(text: str) -> None:
    """Any text is read without an exception, and never as a negative wait."""
    wait = read_retry_after(text, now=NOW)
    date = read_http_date(text)

    assert wait is None or wait >= timedelta()
    assert date is None or date.utcoffset() is not None


@given(st.datetimes(min_value=NOW.replace(tzinfo=None), max_value=NOW.replace(tzinfo=None, year=2200)))
def test_a_date_is_read_to_the_second(at: datetime) -> None:
    """A date as the standard library writes it is read back."""
    at = at.replace(microsecond=0, tzinfo=UTC)

    assert read_retry_after(format_datetime(at, usegmt=True), now=NOW) == at - NOW
