"""Times as Go formats them by layouts of its reference time, Mon Jan 2 15:04:05 MST 2006. UTC only.

Source: the documented behaviour of Go's package time.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

_NS: Final = 1_000_000_000
_DAY_S: Final = 86_400
_YEAR_1_DAYS: Final = 719_162  # From 0001-01-01 to 1970-01-01.

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
WEEKDAYS: Final = (
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
)  # fmt: skip

_TOKEN: Final = re.compile(
    # Longest first. "Jan" and "Mon" do not begin a longer lower-case word, and a fraction ends at
    # whatever is no digit.
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|002|__2|_2006|_2|01|02|03|04|05|06|15"
    r"|PM|pm|-07:00:00|-070000|-07:00|-0700|-07|Z07:00:00|Z070000|Z07:00|Z0700|Z07"
    r"|[.,](?:0+|9+)(?![0-9])|1|2|3|4|5"
)


class NamedNumber(int):
    """A month or weekday: prints as its name, and counts as its number."""

    def __new__(cls, number: int, names: tuple[str, ...], first: int) -> Self:
        """Make the number `number` of `names`, which begin with the number `first`."""
        made = super().__new__(cls, number)
        made._name = names[number - first]
        return made

    _name: str

    def __str__(self) -> str:
        return self._name


@dataclass(frozen=True, slots=True)
class GoTime:
    """A moment in UTC, by nanoseconds since the Unix epoch."""

    unix_ns: int

    @classmethod
    def zero(cls) -> "GoTime":
        """Return Go's zero time, the first moment of year 1."""
        return cls(-_YEAR_1_DAYS * _DAY_S * _NS)

    @property
    def unix(self) -> int:
        """Seconds since the epoch."""
        return self.unix_ns // _NS

    @property
    def nanosecond(self) -> int:
        """Within the second."""
        return self.unix_ns % _NS

    @property
    def date(self) -> tuple[int, int, int]:
        """Year, month and day."""
        # Civil date of a day number, in eras of 400 years which begin in March.
        days = self.unix // _DAY_S + 719_468
        era, day_of_era = divmod(days, 146_097)
        year_of_era = (
            day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096
        ) // 365
        day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
        shifted = (5 * day_of_year + 2) // 153
        day = day_of_year - (153 * shifted + 2) // 5 + 1
        month = shifted + 3 if shifted < 10 else shifted - 9
        return year_of_era + era * 400 + (month <= 2), month, day

    @property
    def clock(self) -> tuple[int, int, int]:
        """Hour, minute and second."""
        minutes, second = divmod(self.unix % _DAY_S, 60)
        return minutes // 60, minutes % 60, second

    @property
    def month(self) -> NamedNumber:
        """Month, 1 to 12."""
        return NamedNumber(self.date[1], MONTHS, 1)

    @property
    def weekday(self) -> NamedNumber:
        """Day of the week, 0 for Sunday."""
        return NamedNumber((self.unix // _DAY_S + 4) % 7, WEEKDAYS, 0)

    @property
    def year_day(self) -> int:
        """Day of the year, 1 to 366."""
        year, _, _ = self.date
        before = year - 1
        days = before * 365 + before // 4 - before // 100 + before // 400 - _YEAR_1_DAYS
        return self.unix // _DAY_S - days + 1

    def format(self, layout: str) -> str:
        """Return the time in the form in which `layout` shows the reference time."""
        return _TOKEN.sub(lambda match: self._token(match[0]), layout)

    def _token(self, token: str) -> str:
        year, month, day = self.date
        hour, minute, second = self.clock
        if token[0] in ".," and len(token) > 1:
            return self._fraction(token)
        if token[0] in "-Z" and token[1:3] == "07":
            if token[0] == "Z":
                return "Z"
            return "+" + re.sub("[0-9]", "0", token[1:])
        if token == "_2006":  # noqa: S105  # Of a layout.
            return f"_{year:04d}"
        hour_12 = hour % 12 or 12
        return {
            "January": MONTHS[month - 1],
            "Jan": MONTHS[month - 1][:3],
            "1": str(month),
            "01": f"{month:02d}",
            "Monday": str(self.weekday),
            "Mon": str(self.weekday)[:3],
            "2": str(day),
            "_2": f"{day:2d}",
            "02": f"{day:02d}",
            "__2": f"{self.year_day:3d}",
            "002": f"{self.year_day:03d}",
            "15": f"{hour:02d}",
            "3": str(hour_12),
            "03": f"{hour_12:02d}",
            "4": str(minute),
            "04": f"{minute:02d}",
            "5": str(second),
            "05": f"{second:02d}",
            "2006": f"{year:04d}",
            "06": f"{year % 100:02d}",
            "PM": "PM" if hour >= 12 else "AM",
            "pm": "pm" if hour >= 12 else "am",
            "MST": "UTC",
        }[token]

    def _fraction(self, token: str) -> str:
        digits = f"{self.nanosecond:09d}"[: len(token) - 1].ljust(len(token) - 1, "0")
        if token[1] == "0":
            return token[0] + digits
        digits = digits.rstrip("0")
        return token[0] + digits if digits else ""

    def __str__(self) -> str:
        return self.format("2006-01-02 15:04:05.999999999 -0700 MST")
