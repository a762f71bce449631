"""`journalctl journals`: the verbs, flags and formats of Gazette's gazctl, for scripts made for it.

What it prints on standard output is gazctl's, byte for byte. What it does is done by the machinery
of the other commands. Exit codes are ours, but that no match is none where gazctl says so, and
nothing new is added here: that goes to the top-level commands.
"""
