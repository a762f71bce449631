"""Which broker a call goes to: the cache of routes, and the choice among members."""

from typing import Any

import pytest

from gazette_py.client.dispatch import RouteCache, pick
from gazette_py.clock import SystemClock
from gazette_py.protocol.route import ProcessID, Route


class SetClock(SystemClock):
    time = 0.0

    def monotonic(self) -> float:
        return self.time


def route(*members: str, primary: int = 0) -> Route:
    """Return a route of members by `zone/suffix`, each at an endpoint of its name."""
    ids = [ProcessID(*member.split("/")) for member in members]
    return Route(tuple(ids), primary, tuple(f"http://{member}" for member in members))


class TestCache:
    @pytest.fixture
    def clock(self) -> SetClock:
        return SetClock()

    def test_a_route_is_kept_until_its_time_is_over(self, clock: SetClock) -> None:
        cache = RouteCache(10, 60, clock)
        cache.put("a/journal", route("a/1"))
        clock.time = 59.9
        assert cache.get("a/journal") == route("a/1")
        clock.time = 60
        assert cache.get("a/journal") == Route()

    def test_reads_of_one_journal_share_its_route(self, clock: SetClock) -> None:
        cache = RouteCache(10, 60, clock)
        cache.put("a/journal;reader/one", route("a/1"))
        assert cache.get("a/journal") == cache.get("a/journal;reader/two") == route("a/1")

    def test_the_least_recently_used_goes_first(self, clock: SetClock) -> None:
        """P2."""
        cache = RouteCache(2, 60, clock)
        cache.put("a/1", route("a/1"))
        cache.put("a/2", route("a/2"))
        cache.get("a/1")
        cache.put("a/3", route("a/3"))
        assert [cache.get(name).members != () for name in ("a/1", "a/2", "a/3")] == [
            True,
            False,
            True,
        ]

    @pytest.mark.parametrize("useless", [Route(), Route((ProcessID("a", "1"),), 0, ())])
    def test_a_route_of_no_use_takes_the_place_of_one_which_was(
        self, clock: SetClock, useless: Route
    ) -> None:
        cache = RouteCache(10, 60, clock)
        cache.put("a/journal", route("a/1"))
        cache.put("a/journal", useless)
        assert cache.get("a/journal") == Route()

    def test_a_route_can_be_dropped(self, clock: SetClock) -> None:
        cache = RouteCache(10, 60, clock)
        cache.put("a/journal", route("a/1"))
        cache.drop("a/journal")
        cache.drop("a/other")
        assert cache.get("a/journal") == Route()

    def test_a_cache_of_no_size_keeps_nothing(self, clock: SetClock) -> None:
        cache = RouteCache(0, 60, clock)
        cache.put("a/journal", route("a/1"))
        assert cache.get("a/journal") == Route()


class TestPick:
    def pick(self, of: Route, zone: str = "b", *, primary: bool = False, **ranks: int) -> Any:
        def rank_of(endpoint: str) -> int:
            return ranks.get(endpoint.removeprefix("http://").replace("/", "_"), 0)

        return pick(of, zone, needs_primary=primary, rank_of=rank_of)

    def test_appends_go_to_the_primary_wherever_it_is(self) -> None:
        members = route("a/1", "b/2", primary=0)
        assert self.pick(members, primary=True, a_1=-1) == "http://a/1"

    def test_without_a_primary_any_member_will_do(self) -> None:
        assert self.pick(route("a/1", "b/2", primary=-1), primary=True) == "http://b/2"

    def test_reads_go_to_a_member_of_our_zone(self) -> None:
        members = route("a/1", "b/2", "c/3")
        assert self.pick(members, "c") == "http://c/3"
        # Also if another zone's is connected already.
        assert self.pick(members, "c", a_1=2) == "http://c/3"

    def test_of_our_zone_the_healthiest_is_chosen(self) -> None:
        members = route("b/1", "b/2", "b/3")
        assert self.pick(members, b_1=-1, b_2=0, b_3=2) == "http://b/3"

    def test_a_zone_without_members_is_no_reason_to_refuse(self) -> None:
        assert self.pick(route("a/1", "b/2"), "z", a_1=-1, b_2=1) == "http://b/2"

    def test_members_without_an_endpoint_are_not_called(self) -> None:
        unknown = Route((ProcessID("a", "1"), ProcessID("b", "2")), 0, ("", ""))
        assert self.pick(unknown) is None
        assert self.pick(unknown, primary=True) is None
        assert self.pick(Route()) is None
