"""Which journal a key goes to: always the same, spread evenly, and moved by little."""

from hypothesis import given
from hypothesis import strategies as st

from gazette_py.core.mapping import Rendezvous, modulo

JOURNALS = st.integers(1, 12).map(lambda n: [f"acme/part={k:02}" for k in range(n)])


@given(st.binary(max_size=20), JOURNALS)
def test_a_key_has_one_journal(key: bytes, journals: list[str]) -> None:
    assert modulo(key, journals=journals) == modulo(key, journals=list(journals))
    assert modulo(key, journals=journals) in journals
    assert Rendezvous(journals)(key) == Rendezvous(list(journals))(key)
    assert Rendezvous(journals)(key) in journals


@given(st.binary(max_size=20), JOURNALS, st.data())
def test_rendezvous_moves_a_key_only_if_its_journal_went_or_the_new_one_has_it(
    key: bytes, journals: list[str], data: st.DataObject
) -> None:
    before = Rendezvous(journals)(key)
    assert Rendezvous([*journals, "acme/zzz"])(key) in (before, "acme/zzz")
    gone = data.draw(st.sampled_from(journals))
    left = [journal for journal in journals if journal != gone]
    if left and gone != before:
        assert Rendezvous(left)(key) == before
