"""Who holds what while the solver works, and what a change of it costs.

Members and items are numbers here: a node is a member, or `OUTSIDE`, where replicas are which
nobody holds. A *step* takes one replica of an item from a node to another.

Invariants:
    PM1  Costs are lexicographic: one unit of a tier outweighs all that the tiers below it can sum
         up to. They are integers, hence exact.
    PM2  What a step costs depends on its item alone; what it does to loads is counted apart.
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from heapq import heappop, heappush

SPARE = 1024
"""There is room for as many more slots, and for twice those of the start."""

OUTSIDE = 0
"""The node of replicas which nobody holds. Members are the nodes from 1 on."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be solved. Lists of members have an entry for `OUTSIDE`, too."""

    zones: Sequence[str]  # Of members.
    limits: Sequence[int]  # Of members; all above zero but that of `OUTSIDE`.
    fair: Sequence[int]  # Of members: what they hold if all do their part.
    wanted: Sequence[int]  # Of items.
    current: Sequence[Sequence[int]]  # Of items: members which hold them now, the primary first.


class Placement:
    """Holders of every item, and the cost of taking a step from here."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.wanted = list(problem.wanted)
        self.holders: list[set[int]] = [set() for _ in problem.wanted]
        self.load = [0] * len(problem.limits)
        self.fair = problem.fair
        self.slots_max = 2 * sum(problem.wanted) + SPARE
        self._had = [frozenset(current) for current in problem.current]
        zones = sorted(set(problem.zones[1:]))
        self._has_zones = len(zones) > 1
        self._zones = len(zones) + 1  # That of `OUTSIDE` is the last.
        self._zone = [len(zones), *(zones.index(zone) for zone in problem.zones[1:])]
        self._in_zone = [0] * (len(self.wanted) * self._zones)  # Replicas, by item and zone.
        above = self.slots_max + 1  # No tier counts as many units.
        self._cost_over_fair = above
        self._cost_one_zone = above**2
        self._cost_unplaced = above**3

    def start(self) -> None:
        """Keep what holds, and place the rest wherever it costs least just now."""
        limits = self.problem.limits
        for item, current in enumerate(self.problem.current):
            for node in current:
                if self._lacks(item) and self.load[node] < limits[node]:
                    self.move(item, OUTSIDE, node)
        self.fill(range(len(self.wanted)))

    def fill(self, items: Iterable[int]) -> None:
        """Place what items lack wherever it costs least just now."""
        limits = self.problem.limits
        emptiest = _Emptiest(self)
        for item in items:
            holders = self.holders[item]
            while self._lacks(item):
                # Members of one zone differ by their load only, but those which had the item.
                free = emptiest.of_each_zone(holders)
                free += [n for n in self._had[item] - holders if self.load[n] < limits[n]]
                if not free:
                    break
                node = min(free, key=lambda n: self._badness(item, n))
                self.move(item, OUTSIDE, node)
                emptiest.add(node)

    def change(self, item: int, wanted: int, current: Iterable[int]) -> None:
        """Let an item want, or be held now, other than it was. The next number is a new item."""
        if item == len(self.wanted):
            self.wanted.append(0)
            self.holders.append(set())
            self._had.append(frozenset())
            self._in_zone += [0] * self._zones
        self.wanted[item] = wanted
        self._had[item] = frozenset(current)
        surplus = sorted(self.holders[item], key=lambda node: (node not in self._had[item], node))
        for node in surplus[wanted:]:
            self.move(item, node, OUTSIDE)

    def _badness(self, item: int, node: int) -> tuple[int, int, float, int]:
        cost = (self.step_cost(item, OUTSIDE, node) or 0) + (self.gain_cost(node) or 0)
        in_zone = self._in_zone[item * self._zones + self._zone[node]]
        return cost, in_zone, self.load[node] / self.problem.limits[node], node

    def move(self, item: int, source: int, target: int) -> None:
        """Take a step."""
        first = item * self._zones
        if source != OUTSIDE:
            self.holders[item].remove(source)
            self.load[source] -= 1
            self._in_zone[first + self._zone[source]] -= 1
        if target != OUTSIDE:
            self.holders[item].add(target)
            self.load[target] += 1
            self._in_zone[first + self._zone[target]] += 1

    def step_cost(self, item: int, source: int, target: int) -> int | None:
        """Return what a step between two nodes costs, or None if it cannot be taken."""
        holders, wanted = self.holders[item], self.wanted[item]
        if target in holders:
            return None
        cost = 0
        if source == OUTSIDE:
            if len(holders) >= wanted:
                return None
            cost -= self._cost_unplaced
        elif source not in holders:
            return None
        elif source not in self._had[item]:
            cost -= 1
        if target == OUTSIDE:
            cost += self._cost_unplaced
        elif target not in self._had[item]:
            cost += 1
        if self._has_zones and wanted > 1:
            # Of an item's replicas all but one may be in one zone.
            zone_from, zone_to = self._zone[source], self._zone[target]
            if zone_from != zone_to:
                first = item * self._zones
                if self._in_zone[first + zone_from] >= wanted:
                    cost -= self._cost_one_zone
                if target != OUTSIDE and self._in_zone[first + zone_to] + 1 >= wanted:
                    cost += self._cost_one_zone
        return cost

    def steps_of(self, item: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """Yield the nodes from which an item can take steps, with targets and what each costs."""
        holders, had, wanted = self.holders[item], self._had[item], self.wanted[item]
        first, zone_of = item * self._zones, self._zone
        is_zoned = self._has_zones and wanted > 1
        last = [
            self._cost_one_zone if is_zoned and count + 1 >= wanted else 0
            for count in self._in_zone[first : first + self._zones]
        ]
        # By target: what it costs to get there, in its own zone and from another.
        targets = [
            (node, int(node not in had), zone, last[zone])
            for node, zone in enumerate(zone_of)
            if node != OUTSIDE and node not in holders
        ]
        if self._lacks(item):
            unplaced = -self._cost_unplaced
            yield OUTSIDE, [(node, unplaced + cost + more) for node, cost, _, more in targets]
        for source in holders:
            zone_from = zone_of[source]
            saved = int(source not in had)
            leaving = 0
            if is_zoned and self._in_zone[first + zone_from] >= wanted:
                leaving = self._cost_one_zone
            costs = [
                (node, cost - saved + (0 if zone == zone_from else more - leaving))
                for node, cost, zone, more in targets
            ]
            costs.append((OUTSIDE, self._cost_unplaced - saved - leaving))
            yield source, costs

    def usual_cost(self, item: int) -> int | None:
        """Return what most steps of an item from one of its holders to another member cost.

        None costs less. It is known without a look at each step for an item which is held by just
        those who had it, or by nobody who had; which is whole, and not in one zone alone.
        """
        holders, wanted = self.holders[item], self.wanted[item]
        if len(holders) != wanted:
            return None
        had = self._had[item]
        if had and had != holders:
            return None
        if self._has_zones and wanted > 1:
            first = item * self._zones
            if wanted in self._in_zone[first : first + self._zones]:
                return None
        return 1 if had else 0

    def usual_cost_outside(self, usual: int) -> int:
        """Return what a step to `OUTSIDE` costs all items of a usual cost."""
        return self._cost_unplaced - 1 + usual

    def gain_cost(self, node: int) -> int | None:
        """Return what one replica more costs a member, or None if it is full."""
        if self.load[node] >= self.problem.limits[node]:
            return None
        return self._cost_over_fair if self.load[node] >= self.fair[node] else 0

    def lose_cost(self, node: int) -> int | None:
        """Return what one replica less costs a member, or None if it has none."""
        if self.load[node] == 0:
            return None
        return -self._cost_over_fair if self.load[node] > self.fair[node] else 0

    def _lacks(self, item: int) -> bool:
        return len(self.holders[item]) < self.wanted[item]


class _Emptiest:
    """Members which have room, those which have most of it first."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        zones = placement.problem.zones
        self._queues: dict[str, list[tuple[int, float, int, int]]] = {z: [] for z in zones[1:]}
        for node in range(1, len(zones)):
            self.add(node)

    def add(self, node: int) -> None:
        """Note the load of a member, which has changed."""
        placement = self._placement
        gain, load = placement.gain_cost(node), placement.load[node]
        if gain is not None:
            ratio = load / placement.problem.limits[node]
            heappush(self._queues[placement.problem.zones[node]], (gain, ratio, node, load))

    def of_each_zone(self, but: AbstractSet[int]) -> list[int]:
        """Return the emptiest member of each zone, which is not one of some members."""
        found = (self._first(queue, but) for queue in self._queues.values())
        return [node for node in found if node is not None]

    def _first(self, queue: list[tuple[int, float, int, int]], but: AbstractSet[int]) -> int | None:
        passed = []
        found: int | None = None
        while queue and found is None:
            _, _, node, load = queue[0]
            if load != self._placement.load[node]:
                heappop(queue)  # Of another time.
            elif node in but:
                passed.append(heappop(queue))
            else:
                found = node
        for entry in passed:
            heappush(queue, entry)
        return found
