"""Maintenance windows: whether one is open, and when the next one opens.

Windows are in local time, so one from 22:00 for eight hours ends at 06:00 also on the night of a change of the clock.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from webhook.settings.controller import MaintenanceWindow

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WEEK: Final = range(-2, 9)
"""Days around today. A window that is open may have begun yesterday, in a time zone where today is tomorrow."""


def is_open(windows: Sequence[MaintenanceWindow], now: datetime) -> bool:
    """Whether rollouts may start now. Without windows, always."""
    return not windows or any(start <= now < end for each in windows for start, end in _occurrences(each, now))


def next_opening(windows: Sequence[MaintenanceWindow], now: datetime) -> datetime | None:
    """When the next window opens. None without windows."""
    return min((start for each in windows for start, _ in _occurrences(each, now) if start > now), default=None)


def _occurrences(window: MaintenanceWindow, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """When it begins and ends in the days around now, in UTC."""
    zone, start = ZoneInfo(window.time_zone), time.fromisoformat(window.start)
    today = now.astimezone(zone).date()
    for offset in _WEEK:
        day = today + timedelta(days=offset)
        if _DAYS[day.weekday()] in window.days:
            begin = datetime.combine(day, start, zone)
            end = begin + timedelta(seconds=window.duration)  # of the wall clock, because both have the same zone
            yield begin.astimezone(UTC), end.astimezone(UTC)
