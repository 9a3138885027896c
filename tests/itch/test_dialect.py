"""The paths and the dates of either dialect."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.itch.dialect import Bearer, Dialect, Endpoint, read_date
from service.ownership import LARGEST_ID, GameId


@pytest.mark.parametrize(
    ("dialect", "bearer", "endpoint", "path"),
    [
        (Dialect.CURRENT, Bearer.SELLER, Endpoint.PROFILE, "/profile"),
        (Dialect.CURRENT, Bearer.PLAYER, Endpoint.PROFILE, "/profile"),
        (Dialect.CURRENT, Bearer.SELLER, Endpoint.GAMES, "/profile/games"),
        (Dialect.CURRENT, Bearer.SELLER, Endpoint.CREDENTIALS, "/credentials/info"),
        (Dialect.CURRENT, Bearer.SELLER, Endpoint.DOWNLOAD_KEYS, "/games/3/download_keys"),
        (Dialect.CURRENT, Bearer.SELLER, Endpoint.PURCHASES, "/games/3/purchases"),
        (Dialect.SERVER_SIDE, Bearer.SELLER, Endpoint.PROFILE, "/key/me"),
        (Dialect.SERVER_SIDE, Bearer.PLAYER, Endpoint.PROFILE, "/jwt/me"),
        (Dialect.SERVER_SIDE, Bearer.SELLER, Endpoint.GAMES, "/key/my-games"),
        (Dialect.SERVER_SIDE, Bearer.SELLER, Endpoint.CREDENTIALS, "/key/credentials/info"),
        (Dialect.SERVER_SIDE, Bearer.SELLER, Endpoint.DOWNLOAD_KEYS, "/key/game/3/download_keys"),
        (Dialect.SERVER_SIDE, Bearer.SELLER, Endpoint.PURCHASES, "/key/game/3/purchases"),
        (Dialect.CURRENT, Bearer.SELLER, Endpoint.UPLOADS, "/games/3/uploads"),
        (Dialect.SERVER_SIDE, Bearer.SELLER, Endpoint.UPLOADS, "/key/game/3/uploads"),
        (Dialect.CURRENT, Bearer.NOBODY, Endpoint.LATEST, "/wharf/latest"),
        (Dialect.SERVER_SIDE, Bearer.NOBODY, Endpoint.LATEST, "/x/wharf/latest"),
    ],
)
def test_where_things_are(dialect: Dialect, bearer: Bearer, endpoint: Endpoint, path: str) -> None:
    """The paths that itch.io documents for each dialect, with the credential's kind in place of the credential."""
    game_id = GameId(3) if endpoint in (Endpoint.DOWNLOAD_KEYS, Endpoint.PURCHASES, Endpoint.UPLOADS) else None

    assert dialect.path(endpoint, bearer, game_id) == path


@given(
    st.sampled_from(Dialect),
    st.sampled_from([Endpoint.DOWNLOAD_KEYS, Endpoint.PURCHASES]),
    st.integers(1, LARGEST_ID),
)
def test_only_a_number_gets_into_a_path(dialect: Dialect, endpoint: Endpoint, game_id: int) -> None:
    """A game's path is the game's number between fixed words."""
    path = dialect.path(endpoint, Bearer.SELLER, GameId(game_id))

    assert re.fullmatch(r"(/games|/key/game)/[1-9][0-9]{0,15}/(download_keys|purchases)", path)
    assert f"/{game_id}/" in path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2014-02-28T00:25:09.000000000Z", datetime(2014, 2, 28, 0, 25, 9, tzinfo=UTC)),
        ("2014-02-28T00:25:09.123456789Z", datetime(2014, 2, 28, 0, 25, 9, 123456, tzinfo=UTC)),
        ("2014-02-28T00:25:09.5Z", datetime(2014, 2, 28, 0, 25, 9, 500000, tzinfo=UTC)),
        ("2014-02-28T00:25:09Z", datetime(2014, 2, 28, 0, 25, 9, tzinfo=UTC)),
        ("2014-02-28T02:25:09+02:00", datetime(2014, 2, 28, 0, 25, 9, tzinfo=UTC)),
        ("2014-02-28 00:25:09", datetime(2014, 2, 28, 0, 25, 9, tzinfo=UTC)),
    ],
)
def test_both_forms_of_dates_are_read(text: str, expected: datetime) -> None:
    """Dates have nine fractional digits and `Z`, or no zone and are in UTC."""
    read = read_date(text)

    assert read == expected
    assert read is not None
    assert read.utcoffset() == timedelta()


@pytest.mark.parametrize(
    "value",
    [
        None,
        0,
        1393547109,
        True,
        {},
        [],
        "",
        "2014-02-28",
        "2014-02-28T00:25:09.000000000z",
        "2014-02-28T00:25",
        "2014-02-30T00:25:09Z",
        "2014-02-28T24:25:09Z",
        "2014-02-28T00:25:61Z",
        "2014-02-28T00:25:09+99:99",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "0000-01-01 00:00:00",
        "2014-02-28T00:25:09Z\n",
        " 2014-02-28T00:25:09Z",
        "٢٠١٤-02-28T00:25:09Z",
        "28 Feb 2014 00:25:09 GMT",
    ],
)
def test_nonsense_is_no_date(value: object) -> None:
    """A date that cannot be read is not known; nothing depends on it."""
    assert read_date(value) is None


@given(
    st.text(max_size=40)
    | st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?", fullmatch=True)
    | st.integers()
    | st.none()
    | st.floats()
)
def test_reading_a_date_never_fails(value: object) -> None:
    """Any text gives None, or an instant in UTC."""
    read = read_date(value)

    assert read is None or read.utcoffset() == timedelta()


@given(st.datetimes(), st.integers(-14, 14))
def test_what_either_dialect_writes_is_read_back(at: datetime, hours: int) -> None:
    """A date that a dialect writes is read back: to the microsecond or to the second, as it is written."""
    zone = timezone(timedelta(hours=hours))
    in_zone = at.replace(tzinfo=zone)
    plain = f"{at:%H:%M:%S}"
    day = f"{at.year:04}-{at.month:02}-{at.day:02}"
    in_utc = at.replace(tzinfo=UTC)

    assert read_date(f"{day}T{plain}.{at.microsecond:06}000Z") == in_utc
    assert read_date(f"{day} {plain}") == in_utc.replace(microsecond=0)
    if 1 < at.year < 9999:
        assert read_date(in_zone.replace(microsecond=0).isoformat()) == in_zone.replace(microsecond=0)
