"""Processes, brokers, routes and headers."""

from dataclasses import replace

import pytest

from gazette_py.errors import ValidationError
from gazette_py.protocol.route import (
    BrokerSpec,
    EtcdHeader,
    Header,
    ProcessID,
    Route,
    validate_broker_spec,
    validate_endpoint,
    validate_header,
    validate_process_id,
    validate_route,
)

ONE, TWO = ProcessID("zone-a", "broker-1"), ProcessID("zone-b", "broker-2")
ETCD = EtcdHeader(cluster_id=1, member_id=2, revision=3, raft_term=4)
HEADER = Header(process_id=ONE, route=Route((ONE, TWO), 0, ("http://one", "")), etcd=ETCD)


def test_the_zero_id_is_no_process() -> None:
    assert not ProcessID()
    assert ProcessID("a", "")
    assert str(ONE) == "zone-a/broker-1"


@pytest.mark.parametrize(
    ("process", "path"),
    [
        (ProcessID("", "broker"), "Id.Zone"),
        (ProcessID("z" * 33, "broker"), "Id.Zone"),
        (ProcessID("z", "abc"), "Id.Suffix"),
        (ProcessID("z", "a" * 129), "Id.Suffix"),
        (ProcessID("z", "a b c"), "Id.Suffix"),
    ],
)
def test_broken_ids(process: ProcessID, path: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate_process_id(process, "Id")
    assert caught.value.path == path


@pytest.mark.parametrize(
    "endpoint",
    ["http://host", "https://host:8080", "unix://host/path", "http://[::1]:80/x", "http://h:99999"],
)
def test_endpoints(endpoint: str) -> None:
    validate_endpoint(endpoint, "Endpoint")


@pytest.mark.parametrize(
    "endpoint",
    [
        *("", "host:8080", "/path", "http://", "http://host:port", "http://[::1"),
        *("unix:///path", "http://user@", "http://ho st", "http://host\n", "http://host/%zz"),
    ],
)
def test_broken_endpoints(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="Endpoint"):
        validate_endpoint(endpoint, "Endpoint")


def test_broker_specs() -> None:
    broker = BrokerSpec(id=ONE, endpoint="http://one", journal_limit=1 << 17)
    validate_broker_spec(broker)
    for broken, path in (
        (replace(broker, id=ProcessID()), "ProcessSpec.Id.Zone"),
        (replace(broker, endpoint="x"), "ProcessSpec.Endpoint"),
        (replace(broker, journal_limit=(1 << 17) + 1), ""),
    ):
        with pytest.raises(ValidationError) as caught:
            validate_broker_spec(broken)
        assert caught.value.path == path


@pytest.mark.parametrize(
    "route",
    [Route(), Route((ONE,), 0), Route((ONE, TWO), -1), Route((ONE, TWO), 1, ("", "http://two"))],
)
def test_routes(route: Route) -> None:
    validate_route(route)


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (Route((), 0), "Route: invalid Primary (0; expected -1 <= Primary < 0)"),
        (Route((ONE,), -2), "Route: invalid Primary"),
        (Route((ONE,), 1), "Route: invalid Primary"),
        (Route((TWO, ONE), 0), "Route: Members not in unique, sorted order (index 1"),
        (Route((ONE, ONE), 0), "Route: Members not in unique, sorted order (index 1"),
        (Route((ProcessID("", "x"),), 0), "Route.Members[0].Zone: invalid length"),
        (Route((ONE, TWO), 0, ("http://one",)), "Route: len(Endpoints)"),
        (Route((ONE,), 0, ("one",)), "Route.Endpoints[0]: not absolute"),
    ],
)
def test_broken_routes(route: Route, expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate_route(route, "Route")
    assert str(caught.value).startswith(expected)


def test_equivalence_leaves_endpoints_out() -> None:
    route = HEADER.route
    assert route.is_equivalent(route.without_endpoints())
    assert not route.is_equivalent(replace(route, primary=1))
    assert not route.is_equivalent(Route((ONE,), 0))
    assert route.primary_id == ONE
    assert Route().primary_id is None


def test_headers() -> None:
    validate_header(HEADER, "Header")
    validate_header(replace(HEADER, process_id=ProcessID()), "Header")
    for broken, path in (
        (replace(HEADER, process_id=ProcessID("a", "b")), "Header.ProcessId.Suffix"),
        (replace(HEADER, route=Route((), 0)), "Header.Route"),
        (replace(HEADER, etcd=replace(ETCD, cluster_id=0)), "Header.Etcd"),
        (replace(HEADER, etcd=replace(ETCD, member_id=0)), "Header.Etcd"),
        (replace(HEADER, etcd=replace(ETCD, revision=0)), "Header.Etcd"),
        (replace(HEADER, etcd=replace(ETCD, raft_term=0)), "Header.Etcd"),
    ):
        with pytest.raises(ValidationError) as caught:
            validate_header(broken, "Header")
        assert caught.value.path == path
