"""Apply: journal specs are written or deleted in one etcd transaction.

The response is sent once our own key space shows the change: who lists here afterwards sees it.

Fields which we do not know are not written, as the reference drops them: among them may be one
which is known, but of another wire type, and with it no broker of the reference could decode the
spec.

Source: gazette/core broker/list_apply_api.go.
"""

from gazette_py.broker.service import Service
from gazette_py.errors import RpcUnauthenticatedError
from gazette_py.etcd.base import Compare, Delete, Op, Put, Target
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.enums import Status
from gazette_py.protocol.keys import item_key
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet
from gazette_py.protocol.requests import validate_apply_request

ANY_REVISION = -1


async def serve_apply(
    service: Service, request: pb.ApplyRequest, allowed: LabelSelector
) -> pb.ApplyResponse:
    """Apply the changes, all or none.

    Args:
        service: Of this broker.
        request: The changes.
        allowed: Must select each journal: as it shall be, or, to be deleted, by its name alone.

    Raises:
        RpcUnauthenticatedError: A journal is not among those allowed.
        ValidationError: A change is not valid.
        EtcdError: etcd refuses the transaction, or cannot be reached.
    """
    validate_apply_request(request)
    guards: list[Compare] = []
    ops: list[Op] = []
    for change in request.changes:
        name = change.upsert.name if change.HasField("upsert") else change.delete
        _check_allowed(change, allowed)
        key = item_key(service.keyspace.root, name).encode()
        if change.expect_mod_revision != ANY_REVISION:
            guards.append(Compare(key, Target.MOD, change.expect_mod_revision))
        if change.HasField("upsert"):
            change.upsert.DiscardUnknownFields()
            ops.append(Put(key, change.upsert.SerializeToString()))
        else:
            ops.append(Delete(key))
    result = await service.etcd.txn(guards, ops)
    if result.succeeded and ops:
        await service.wait_revision(result.header.revision)
    header = convert.header_to_pb(service.unrouted_header())
    header.etcd.revision = result.header.revision
    status = Status.OK if result.succeeded else Status.ETCD_TRANSACTION_FAILED
    return pb.ApplyResponse(status=pb.Status.ValueType(status), header=header)


def _check_allowed(change: pb.ApplyRequest.Change, allowed: LabelSelector) -> None:
    if change.HasField("upsert"):
        name = change.upsert.name
        labels = convert.journal_from_pb(change.upsert).selectable_labels()
    else:
        name = change.delete
        labels = LabelSet((Label("name", name),))
    if not allowed.matches(labels):
        raise RpcUnauthenticatedError(
            "client", "PERMISSION_DENIED", f"the token does not allow changes of journal {name}"
        )
