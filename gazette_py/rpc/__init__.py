"""Transports of the broker's calls, behind the interface of grpc.aio.

Handlers are written as `(request or iterator, context)` and callers against a channel's
multi-callables, so that a faster transport can take grpcio's place without either noticing.
"""
