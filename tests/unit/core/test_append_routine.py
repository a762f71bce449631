import pytest

from gazette_py.core import append as fsm


@pytest.mark.parametrize("effect", [fsm.Resolve(0), fsm.AcquirePipeline(), fsm.AwaitReady()])
def test_what_every_append_does_is_routine(effect: fsm.Effect) -> None:
    """An idle journal pulses for ever: its story must not grow with each pulse."""
    assert fsm.is_routine(effect)


@pytest.mark.parametrize(
    "effect",
    [
        fsm.Resolve(17),
        fsm.ReleasePipeline(),
        fsm.BuildPipeline(),
        fsm.SyncPipeline(roll_to=0),
        fsm.AdvertiseRoute(),
    ],
)
def test_what_tells_of_a_change_is_not(effect: fsm.Effect) -> None:
    assert not fsm.is_routine(effect)
