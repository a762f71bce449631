"""Verbs of the protocol as state machines: what to do next, given what has happened.

Pure: no IO, clock, randomness, logging or gRPC, also through others (a contract checks it).
"""
