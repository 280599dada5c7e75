"""Maintenance windows: when rollouts may start.

A window begins and ends at times of day in its time zone. So one from 22:00 for eight hours ends at 06:00 also in the
nights in which clocks change, and then lasts seven or nine hours. A time that clocks skip is as many minutes later; of
one that they show twice, the first counts.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from webhook.settings.controller import MaintenanceWindow

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def is_open(windows: Sequence[MaintenanceWindow], now: datetime) -> bool:
    """Whether rollouts may start now. Without windows, always."""
    return not windows or any(start <= now < end for window in windows for start, end in _near(window, now))


def next_opening(windows: Sequence[MaintenanceWindow], now: datetime) -> datetime | None:
    """When the next window begins. None without windows."""
    starts = (start for window in windows for start, _ in _near(window, now))
    return min((start for start in starts if start > now), default=None)


def _near(window: MaintenanceWindow, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Beginnings and ends from the day before yesterday to the same day of next week, in UTC."""
    zone = ZoneInfo(window.time_zone)
    today = now.astimezone(zone).date()
    hour, minute = map(int, window.start.split(":"))
    for offset in range(-2, 8):
        day = today + timedelta(days=offset)
        if _DAYS[day.weekday()] in window.days:
            start = datetime(day.year, day.month, day.day, hour, minute)
            yield _at(start, zone), _at(start + timedelta(seconds=window.duration), zone)


def _at(time_of_day: datetime, zone: ZoneInfo) -> datetime:
    return time_of_day.replace(tzinfo=zone).astimezone(UTC)
