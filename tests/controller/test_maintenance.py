"""Maintenance windows, over midnight and through changes of clocks."""

from datetime import UTC, datetime

import pytest

from webhook.controller.maintenance import is_open, next_opening
from webhook.settings.controller import MaintenanceWindow


def window(**fields: object) -> MaintenanceWindow:
    return MaintenanceWindow.model_validate(fields)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


NIGHTS = window(days=["Mon", "Tue", "Wed", "Thu"], start="22:00", duration="8h", timeZone="Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-06-01T21:59:59+02:00", False),  # a Monday
        ("2026-06-01T22:00:00+02:00", True),
        ("2026-06-02T05:59:59+02:00", True),
        ("2026-06-02T06:00:00+02:00", False),
        ("2026-06-05T05:00:00+02:00", True),  # Thursday's, on Friday
        ("2026-06-05T23:00:00+02:00", False),
        ("2026-06-07T23:00:00+02:00", False),
        ("2026-12-01T05:30:00+01:00", True),
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins(now: str, *, expected: bool) -> None:
    assert is_open([NIGHTS], at(now)) == expected


def test_without_windows_it_is_always_open_and_never_opens() -> None:
    assert is_open([], at("2026-06-01T00:00:00Z"))
    assert next_opening([], at("2026-06-01T00:00:00Z")) is None


def test_of_several_windows_one_is_enough() -> None:
    windows = [window(days=["Sat"]), window(days=["Sun"], start="12:00", duration="1h")]
    assert [is_open(windows, at(f"2026-06-0{day}T12:30:00Z")) for day in (5, 6, 7, 8)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-06-01T12:00:00+02:00", "2026-06-01T22:00:00+02:00"),
        ("2026-06-01T23:00:00+02:00", "2026-06-02T22:00:00+02:00"),
        ("2026-06-05T12:00:00+02:00", "2026-06-08T22:00:00+02:00"),
    ],
)
def test_the_next_opening(now: str, expected: str) -> None:
    assert next_opening([NIGHTS], at(now)) == at(expected)


def test_a_window_of_one_day_a_week_opens_again_after_a_week() -> None:
    weekly = window(days=["Mon"], start="12:00", duration="1h")
    assert next_opening([weekly], at("2026-06-01T12:00:00Z")) == at("2026-06-08T12:00:00Z")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-28T22:00:00+01:00", "2026-03-29T06:00:00+02:00"),  # seven hours
        ("2026-10-24T22:00:00+02:00", "2026-10-25T06:00:00+01:00"),  # nine hours
    ],
)
def test_a_window_ends_at_its_time_of_day_when_clocks_change(start: str, end: str) -> None:
    nightly = [window(start="22:00", duration="8h", timeZone="Europe/Berlin")]
    assert next_opening(nightly, at(start).replace(hour=12)) == at(start)
    assert is_open(nightly, at(end).replace(minute=0) - (at("2026-01-01T00:00:01Z") - at("2026-01-01T00:00:00Z")))
    assert not is_open(nightly, at(end))


def test_a_beginning_that_clocks_skip_is_as_much_later() -> None:
    skipped = [window(start="02:30", duration="1h", timeZone="Europe/Berlin")]
    assert next_opening(skipped, at("2026-03-29T00:00:00Z")) == at("2026-03-29T03:30:00+02:00")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])
def test_whole_days_leave_no_gap_through_the_year(zone: str) -> None:
    always = [window(timeZone=zone)]
    first = at("2026-01-01T00:00:00Z").timestamp()
    times = (datetime.fromtimestamp(first + half_hour * 1800, UTC) for half_hour in range(366 * 48))
    assert all(is_open(always, now) for now in times)
