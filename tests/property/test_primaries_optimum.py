"""Primaries are as even as who holds what allows, by as few hand-overs as that takes (PR1, PR2)."""

from fractions import Fraction
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from keyspaces import Maker, process

from gazette_py.core.allocator.primaries import choose_primaries
from gazette_py.core.allocator.state import observe
from gazette_py.protocol.route import ProcessID

Choice = tuple[ProcessID, ...]


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[int], list[tuple[list[int], list[int], bool]]]:
    """Draw limits of members, and of each item who holds it, who shall, and if it is led."""
    count = draw(st.integers(1, 5))
    limits = draw(st.lists(st.integers(1, 6), min_size=count, max_size=count))
    holders = st.lists(st.integers(0, count - 1), unique=True, max_size=3)
    wanted = st.lists(st.integers(0, count - 1), unique=True, min_size=1, max_size=3)
    stays = draw(st.booleans())
    items = []
    for _ in range(draw(st.integers(1, 6))):
        held = draw(holders)
        items.append((held, held or draw(wanted) if stays else draw(wanted), draw(st.booleans())))
    return limits, items


@settings(max_examples=400, deadline=None)
@given(clusters())
def test_no_choice_of_primaries_is_cheaper(
    cluster: tuple[list[int], list[tuple[list[int], list[int], bool]]],
) -> None:
    limits, items = cluster
    ids = [process(f"{'abc'[n % 3]}/broker-{n}") for n in range(len(limits))]
    maker = Maker()
    for member, limit in zip(ids, limits, strict=True):
        maker.member(f"{member.zone}/{member.suffix}", limit)
    state = observe(maker.keyspace(), 9)
    names = [f"item-{n}" for n in range(len(items))]
    current = {
        name: tuple(ids[n] for n in held) for name, (held, _, _) in zip(names, items, strict=True)
    }
    desired = {
        name: frozenset(ids[n] for n in wanted)
        for name, (_, wanted, _) in zip(names, items, strict=True)
    }
    now = {
        name: ids[held[0]]
        for name, (held, _, is_led) in zip(names, items, strict=True)
        if held and is_led
    }

    def cost(choice: Choice) -> tuple[Fraction, int]:
        loads = {member: choice.count(member) for member in ids}
        uneven = sum(
            (Fraction(loads[m] ** 2, limit) for m, limit in zip(ids, limits, strict=True)),
            Fraction(0),
        )
        handovers = 0
        for name, primary in zip(names, choice, strict=True):
            if name in now and now[name] in desired[name]:
                handovers += primary != now[name]
            elif current[name]:
                handovers += primary not in current[name]
        return uneven, handovers

    chosen = choose_primaries(state, current, now, desired)

    found = tuple(chosen[name] for name in names)
    assert all(primary in desired[name] for name, primary in chosen.items())
    assert cost(found) == min(cost(choice) for choice in product(*(desired[n] for n in names)))
    # Nobody hands over once it is so.
    assert choose_primaries(state, {n: tuple(desired[n]) for n in names}, chosen, desired) == chosen
