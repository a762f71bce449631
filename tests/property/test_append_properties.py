"""Invariants of the append machine, over any sequence of answers."""

from hypothesis import given
from hypothesis import strategies as st

from gazette_py.core import append as fsm
from gazette_py.protocol.enums import Status
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.route import ProcessID, Route

ROUTES = [
    Route(tuple(ProcessID("zone", name) for name in names), 0)
    for names in ("abc", "abd", "acd", "abcd", "ab")
]
SPOOL = fsm.SpoolView(0, 50, LabelSet())


@st.composite
def answers(draw: st.DrawFn, step: fsm.Effect, revision: int) -> fsm.Outcome:
    match step:
        case fsm.Resolve():
            return fsm.Resolved(
                status=Status.OK,
                revision=revision,
                route=draw(st.sampled_from(ROUTES)),
                is_here=draw(st.booleans() | st.just(value=True)),
                replica=draw(st.sampled_from([1, 1, 1, 2])),
                is_advertised=draw(st.booleans()),
                replication=3,
            )
        case fsm.AwaitChange():
            return draw(st.sampled_from([fsm.KeySpaceChanged(), fsm.Invalidated()]))
        case fsm.AcquirePipeline():
            built = draw(st.none() | st.sampled_from(ROUTES))
            acquired = fsm.PipelineAcquired(built, SPOOL if built else None)
            return draw(st.sampled_from([acquired, acquired, fsm.Invalidated()]))
        case fsm.ReleasePipeline():
            return fsm.PipelineReleased()
        case fsm.BuildPipeline():
            return draw(st.sampled_from([fsm.PipelineBuilt(), fsm.Invalidated()]))
        case fsm.SyncPipeline():
            return draw(
                st.sampled_from(
                    [
                        fsm.PeersAgree(SPOOL),
                        fsm.PeerAhead(50),
                        fsm.PeerKnowsLaterRoute(revision + 1),
                        fsm.Invalidated(),
                    ]
                )
            )
        case fsm.AdvertiseRoute() | fsm.UpdateSuspend():
            return fsm.Written(revision + 1)
        case fsm.AwaitReady():
            return draw(st.sampled_from([fsm.Ready(10, 50, is_flushed=False), fsm.Invalidated()]))


@given(st.data())
def test_content_follows_only_an_agreement_of_the_route_now_resolved(data: st.DataObject) -> None:
    """A2, A3, A4 and A6: a Route which was left and came back needs a new agreement."""
    machine = fsm.AppendFSM(fsm.AppendOptions())
    resolved: fsm.Resolved | None = None
    synchronised: Route | None = None  # Of the pipeline in hand, as its peers see it.
    held = 0
    for revision in range(60):
        step = machine.pending
        if isinstance(step, fsm.Verdict):
            break
        answer = data.draw(answers(step, revision))
        match answer:
            case fsm.Resolved():
                resolved = answer
            case fsm.PipelineAcquired(route):
                assert resolved is not None
                held, synchronised = resolved.replica, route
            case fsm.PipelineReleased():
                held, synchronised = 0, None
            case fsm.PipelineBuilt() | fsm.PeerAhead() | fsm.PeerKnowsLaterRoute():
                synchronised = None
            case fsm.PeersAgree():
                assert resolved is not None
                synchronised = resolved.route
            case fsm.Invalidated() if isinstance(step, fsm.SyncPipeline | fsm.BuildPipeline):
                synchronised = None
        machine.step(answer)
    if isinstance(machine.pending, fsm.StreamContent):
        assert resolved is not None
        assert synchronised is not None
        assert synchronised.is_equivalent(resolved.route)
        assert len(resolved.route.members) == resolved.replication
        assert resolved.is_advertised
        assert held == resolved.replica
    if isinstance(machine.pending, fsm.Proxy):
        assert held == 0
        assert resolved is not None
        surplus = len(resolved.route.members) > resolved.replication
        assert not (surplus and resolved.is_advertised)
