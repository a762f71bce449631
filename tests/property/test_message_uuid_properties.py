"""Whatever a UUID is made of, it tells; and it is one which RFC 9562 knows."""

from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from gazette_py.message.uuids import clock_of, flags_of, make_uuid, producer_of, time_ns_at

CLOCKS = st.integers(0, (1 << 64) - 1)


@given(st.binary(min_size=6, max_size=6), CLOCKS, st.integers(0, 1023))
def test_what_it_is_made_of_can_be_read(producer: bytes, clock: int, flags: int) -> None:
    uuid = make_uuid(producer, clock, flags)
    assert (producer_of(uuid), clock_of(uuid), flags_of(uuid)) == (producer, clock, flags)
    assert (uuid.version, uuid.variant, uuid.time) == (1, RFC_4122, clock >> 4)
    assert UUID(str(uuid)) == uuid


@given(st.lists(CLOCKS, min_size=2, max_size=2, unique=True).map(sorted))
def test_times_are_in_the_order_of_clocks(clocks: list[int]) -> None:
    assert time_ns_at(clocks[0]) <= time_ns_at(clocks[1])
