"""Cover sets and their difference."""

from dataclasses import dataclass

import pytest

from gazette_py.core.cover_set import CoverSet, difference


@dataclass(frozen=True)
class Piece:
    begin: int
    end: int
    mark: str = ""


def cover(*spans: tuple[int, int]) -> CoverSet[Piece]:
    pieces: CoverSet[Piece] = CoverSet()
    for begin, end in spans:
        pieces.add(Piece(begin, end))
    return pieces


def spans(pieces: CoverSet[Piece]) -> list[tuple[int, int]]:
    return [(piece.begin, piece.end) for piece in pieces]


@pytest.mark.parametrize(
    ("added", "changes", "expected"),
    [
        ((300, 400), True, [(100, 150), (149, 201), (200, 250), (300, 400)]),
        ((50, 120), True, [(50, 120), (100, 150), (149, 201), (200, 250)]),
        ((150, 150), False, [(100, 150), (149, 201), (200, 250)]),
        ((110, 150), False, [(100, 150), (149, 201), (200, 250)]),
        ((100, 140), False, [(100, 150), (149, 201), (200, 250)]),
        ((160, 170), False, [(100, 150), (149, 201), (200, 250)]),
        ((200, 249), False, [(100, 150), (149, 201), (200, 250)]),
        ((100, 201), True, [(100, 201), (200, 250)]),
        ((149, 300), True, [(100, 150), (149, 300)]),
        ((90, 300), True, [(90, 300)]),
        ((90, 149), True, [(90, 149), (100, 150), (149, 201), (200, 250)]),
        ((120, 220), True, [(100, 150), (120, 220), (200, 250)]),
    ],
)
def test_adding_keeps_what_is_not_within_another(
    added: tuple[int, int], changes: bool, expected: list[tuple[int, int]]
) -> None:
    pieces = cover((100, 150), (149, 201), (200, 250))
    assert pieces.add(Piece(*added)) is changes
    assert spans(pieces) == expected


def test_of_equal_spans_the_last_one_stays() -> None:
    pieces = CoverSet([Piece(0, 5, "a"), Piece(0, 5, "b")])
    assert [piece.mark for piece in pieces] == ["b"]


def test_extent() -> None:
    assert (cover().begin, cover().end, len(cover())) == (0, 0, 0)
    pieces = cover((7, 9), (8, 12))
    assert (pieces.begin, pieces.end, len(pieces)) == (7, 12, 2)


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (0, (0, False)),
        (5, (0, True)),
        (8, (1, True)),
        (11, (1, True)),
        (12, (2, False)),
        (20, (2, True)),
        (30, (3, False)),
    ],
)
def test_longest_overlap(offset: int, expected: tuple[int, bool]) -> None:
    assert cover((5, 10), (8, 12), (20, 30)).longest_overlap(offset) == expected


@pytest.mark.parametrize(("begin", "expected"), [(0, 0), (5, 0), (6, 1), (20, 2), (21, 3)])
def test_index_from(begin: int, expected: int) -> None:
    assert cover((5, 10), (8, 12), (20, 30)).index_from(begin) == expected


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        ([], [(0, 100), (100, 200)]),
        ([(0, 100)], [(100, 200)]),
        ([(0, 60), (50, 150), (150, 200)], []),
        ([(0, 60), (61, 100)], [(0, 100), (100, 200)]),
        ([(0, 300)], []),
        ([(1, 300)], [(0, 100)]),
    ],
)
def test_difference_keeps_what_no_unbroken_run_covers(
    right: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    left = cover((0, 100), (100, 200))
    assert [(p.begin, p.end) for p in difference(left, cover(*right))] == expected
