"""Hand-over of exclusive ownership, under cancellation and signals."""

import asyncio

import pytest

from gazette_py.broker.token import Signal, Slot, wait_signal


async def test_an_item_in_the_slot_is_taken_at_once() -> None:
    slot: Slot[str] = Slot()
    slot.put("spool")
    assert await slot.take() == ("spool",)


async def test_none_is_an_item_like_any_other() -> None:
    slot: Slot[None] = Slot()
    slot.put(None)
    assert await slot.take() == (None,)


async def test_waiters_are_served_in_order() -> None:
    slot: Slot[str] = Slot()
    served: list[str] = []

    async def wait(name: str) -> None:
        taken = await slot.take()
        assert taken is not None
        served.append(name)
        slot.put(taken[0])

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(wait(name))
        await asyncio.sleep(0)
        slot.put("spool")
    assert served == ["a", "b", "c"]
    assert await slot.take() == ("spool",)


async def test_a_signal_ends_the_wait() -> None:
    slot: Slot[str] = Slot()
    signal = Signal()
    waiting = asyncio.ensure_future(slot.take(signal))
    await asyncio.sleep(0)
    signal.fire()
    assert await waiting is None
    slot.put("spool")
    assert await slot.take() == ("spool",)


async def test_a_signal_wins_over_the_item() -> None:
    slot: Slot[str] = Slot()
    slot.put("spool")
    signal = Signal()
    signal.fire()
    assert await slot.take(signal) is None
    assert await slot.take() == ("spool",)


async def test_a_signal_at_the_moment_of_hand_over_leaves_the_item_in_the_slot() -> None:
    slot: Slot[str] = Slot()
    signal = Signal()
    waiting = asyncio.ensure_future(slot.take(signal))
    await asyncio.sleep(0)
    slot.put("spool")
    signal.fire()
    assert await waiting is None
    assert await slot.take() == ("spool",)


async def test_a_cancellation_at_the_moment_of_hand_over_leaves_the_item_in_the_slot() -> None:
    slot: Slot[str] = Slot()
    waiting = asyncio.ensure_future(slot.take())
    await asyncio.sleep(0)
    slot.put("spool")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await slot.take() == ("spool",)


async def test_a_cancelled_waiter_is_passed_over() -> None:
    slot: Slot[str] = Slot()
    first = asyncio.ensure_future(slot.take())
    second = asyncio.ensure_future(slot.take())
    await asyncio.sleep(0)
    first.cancel()
    slot.put("spool")
    assert await second == ("spool",)


async def test_a_signal_fires_once_and_late_listeners_at_once() -> None:
    signal, heard = Signal(), []
    dropped = signal.add(lambda: heard.append("dropped"))
    signal.add(lambda: heard.append("early"))
    signal.discard(dropped)
    signal.fire()
    signal.fire()
    signal.add(lambda: heard.append("late"))
    assert heard == ["early", "late"]


async def test_waiting_for_a_signal_is_bounded() -> None:
    signal = Signal()
    assert not await wait_signal(0.0, signal)
    signal.fire()
    assert await wait_signal(None, signal)
