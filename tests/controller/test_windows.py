"""Maintenance windows."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from webhook.controller.windows import is_open, next_opening
from webhook.settings.controller import MaintenanceWindow

BERLIN = "Europe/Berlin"


def window(start: str, hours: float, zone: str = "UTC", *days: str) -> MaintenanceWindow:
    given = {"start": start, "duration": hours * 3600, "timeZone": zone, **({"days": days} if days else {})}
    return MaintenanceWindow.model_validate(given)


def utc(day: int, hour: int, minute: int = 0, month: int = 1) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def test_without_windows_rollouts_may_always_start() -> None:
    assert is_open((), utc(5, 3))
    assert next_opening((), utc(5, 3)) is None


@pytest.mark.parametrize(
    ("now", "expected"),
    [(utc(5, 8, 59), False), (utc(5, 9), True), (utc(5, 16, 59), True), (utc(5, 17), False), (utc(6, 9), False)],
)
def test_a_window_is_open_on_its_days_from_its_start_to_its_end(now: datetime, expected: bool) -> None:
    assert is_open((window("09:00", 8, "UTC", "Mon"),), now) is expected


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    sunday_night = (window("22:00", 8, "UTC", "Sun"),)
    assert is_open(sunday_night, utc(4, 23))
    assert is_open(sunday_night, utc(5, 5, 59))
    assert not is_open(sunday_night, utc(5, 6))
    assert not is_open(sunday_night, utc(5, 23))


def test_a_window_is_in_its_time_zone() -> None:
    nine = (window("09:00", 1, BERLIN),)
    assert is_open(nine, utc(5, 8, 30))  # winter
    assert not is_open(nine, utc(6, 8, 30, month=7))
    assert is_open(nine, utc(6, 7, 30, month=7))  # summer


def test_the_day_can_be_another_one_in_the_time_zone() -> None:
    monday = (window("00:00", 1, "Pacific/Kiritimati", "Mon"),)  # 14 hours ahead
    assert is_open(monday, utc(4, 10, 30))
    assert not is_open(monday, utc(5, 0, 30))


@pytest.mark.parametrize(("day", "month"), [(28, 3), (24, 10)])
def test_a_window_ends_by_the_wall_clock_also_on_the_night_of_its_change(day: int, month: int) -> None:
    nights = (window("22:00", 8, BERLIN),)
    last = datetime(2026, month, day + 1, 5, 59, tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)
    end = datetime(2026, month, day + 1, 6, 0, tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)
    assert is_open(nights, last)
    assert not is_open(nights, end)


def test_whole_days_leave_no_gap_when_the_clock_changes() -> None:
    always = (MaintenanceWindow(time_zone=BERLIN),)
    assert all(is_open(always, utc(25, hour, month=10)) for hour in range(24))


def test_the_next_opening_can_be_a_week_away() -> None:
    assert next_opening((window("09:00", 8, "UTC", "Mon"),), utc(5, 9)) == utc(12, 9)
    assert next_opening((window("09:00", 1), window("07:00", 1)), utc(5, 7, 30)) == utc(5, 9)
