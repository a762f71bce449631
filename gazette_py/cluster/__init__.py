"""Membership of a cluster kept in etcd: the mirrored key space, our session, the leader's loop."""
