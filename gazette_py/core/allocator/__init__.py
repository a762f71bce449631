"""The allocator: who shall serve which journal, and the steps from here to there.

    state.observe   what there is, as of one revision
    solve.solve     who shall hold each item (by way of placement and cycles)
    primaries.choose_primaries  who of them shall be primary
    plan.plan       which changes may be made now

All pure. The shell is `cluster.allocate`.
"""
