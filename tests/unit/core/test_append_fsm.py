"""What the shell of an append may never do. Its scenarios are transcripts."""

import pytest

from gazette_py.core import append as fsm


def test_an_outcome_which_answers_nothing_is_a_bug_of_the_shell() -> None:
    machine = fsm.AppendFSM(fsm.AppendOptions())
    assert isinstance(machine.pending, fsm.Resolve)
    with pytest.raises(AssertionError, match="does not answer"):
        machine.step(fsm.Ready(index_begin=0, index_end=0, is_flushed=False))
