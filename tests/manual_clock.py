"""A clock which stands still but for what is slept."""

from gazette_py.clock import SystemClock


class ManualClock(SystemClock):
    """Its time passes only in `sleep`, at once."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
