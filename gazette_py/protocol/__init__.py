"""Nouns of the protocol as plain values: what they are, when they are valid, how they are written.

Pure: no IO, clock, logging or gRPC. Generated messages are converted by `convert`, at a shell's
edge.
"""
