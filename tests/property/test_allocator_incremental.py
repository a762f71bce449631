"""A solver which keeps its work finds what costs as little as one which begins anew (SO4)."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from keyspaces import Maker, process

from gazette_py.core.allocator.solve import Current, Desired, Solver, solve
from gazette_py.core.allocator.state import AllocState, observe
from gazette_py.protocol.route import ProcessID

NAMES = st.integers(0, 39).map(lambda n: f"item-{n:02}")
ZONES = "abc"


def cost_of(state: AllocState, current: Current, desired: Desired) -> tuple[int, int, int, int]:
    """Return what is not placed, is in one zone, is beyond fair shares, and moves."""
    limits = {m: s.effective for m, s in state.shares.items() if s.effective > 0}
    loads = {m: sum(m in holders for holders in desired.values()) for m in limits}
    capacity, slots = sum(limits.values()), state.slots
    fair = {m: u if capacity <= slots else -(-u * slots // capacity) for m, u in limits.items()}
    has_zones = len({m.zone for m in limits}) > 1
    assert sum(loads.values()) == sum(len(holders) for holders in desired.values())
    assert all(loads[m] <= limit for m, limit in limits.items())
    return (
        sum(wanted - len(desired[item.name]) for item, wanted in state.items),
        sum(
            has_zones
            and wanted > 1
            and len(desired[item.name]) == wanted
            and len({m.zone for m in desired[item.name]}) == 1
            for item, wanted in state.items
        ),
        sum(max(0, loads[m] - fair[m]) for m in limits),
        sum(len(holders - set(current[name])) for name, holders in desired.items()),
    )


class Incremental(RuleBasedStateMachine):
    """Items and members come, go and change; assignments follow, or do something else."""

    def __init__(self) -> None:
        super().__init__()
        self.members: dict[str, tuple[int, bool]] = {}
        self.items: dict[str, int] = {}
        self.held: dict[str, tuple[ProcessID, ...]] = {}
        self.solver = Solver()
        self.desired: Desired = {}

    @initialize(
        limits=st.lists(st.integers(1, 30), min_size=1, max_size=6),
        items=st.dictionaries(NAMES, st.integers(1, 4), min_size=8),
    )
    def begin(self, limits: list[int], items: dict[str, int]) -> None:
        for n, limit in enumerate(limits):
            self.members[f"{ZONES[n % 3]}/broker-{n}"] = (limit, False)
        self.items = items

    @rule(name=NAMES, replication=st.integers(0, 4))
    def apply(self, name: str, replication: int) -> None:
        self.items[name] = replication

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.items)))
        del self.items[name]
        self.held.pop(name, None)

    @rule()
    def converge(self) -> None:
        self.held = {name: tuple(sorted(h)) for name, h in self.desired.items()}

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def assign_otherwise(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.items)))
        members = [process(m) for m in sorted(self.members)]
        self.held[name] = tuple(data.draw(st.lists(st.sampled_from(members), unique=True)))

    @rule(n=st.integers(0, 6), limit=st.integers(0, 30), exiting=st.booleans())
    def change_member(self, n: int, limit: int, exiting: bool) -> None:
        self.members[f"{ZONES[n % 3]}/broker-{n}"] = (limit, exiting)

    @invariant()
    def it_costs_what_it_costs_from_nothing(self) -> None:
        maker = Maker()
        for member, (limit, exiting) in sorted(self.members.items()):
            maker.member(member, limit, exiting=exiting)
        for name, replication in self.items.items():
            maker.item(name, replication)
        state = observe(maker.keyspace(), 9)
        current = {item.name: self.held.get(item.name, ()) for item, _ in state.items}
        self.desired = self.solver.solve(state, current)
        assert self.desired.keys() == current.keys()
        anew = solve(state, current)
        assert cost_of(state, current, self.desired) == cost_of(state, current, anew)


TestIncremental = Incremental.TestCase
TestIncremental.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
