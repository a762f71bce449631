"""A client of etcd's v3 API over grpc.aio: ranges, transactions, watches and leases."""
