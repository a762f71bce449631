"""Checks that docs/ does not rot: links, terms, generated pages, options."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from docs_pages import DOCS, ROOT, commands, matches, pages, without_code

from gazette_py.cli import journalctl, main

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def links(page: Path) -> list[str]:
    return [link for link in _LINK.findall(without_code(page.read_text())) if "://" not in link]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as code forges make them."""
    found = set()
    for heading in _HEADING.findall(page.read_text()):
        kept = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(kept.replace(" ", "-"))
    return found


def options(command: click.Command) -> list[str]:
    """Return the long options of a command and of all below it, as their help tells them."""
    ctx = click.Context(command)
    found = []
    for line in re.findall(r"^  -.*$", command.get_help(ctx), re.MULTILINE):
        found += re.findall(r"--[\w.-]+", line.strip().partition("  ")[0])
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            child = command.get_command(ctx, name)
            assert child is not None
            found += options(child)
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(DOCS)))
def test_links_resolve(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_is_reached_from_the_index() -> None:
    reached, waiting = set(), [DOCS / "README.md", ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or not page.exists():
            continue
        reached.add(page)
        targets = [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
        waiting += [target for target in targets if target.suffix == ".md"]
    assert set(pages()) <= reached


def test_tests_which_pages_name_exist() -> None:
    written = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"def (test_\w+)", written))
    for page in pages():
        named = set(re.findall(r"`(test_\w+)`", page.read_text()))
        assert named <= defined, f"{page}: {sorted(named - defined)}"


def test_pages_which_the_code_names_exist() -> None:
    for module in (ROOT / "gazette_py").rglob("*.py"):
        for name in re.findall(r"docs/[\w/.-]+\.md", module.read_text()):
            assert (ROOT / name).exists(), f"{module} names {name}"


def test_terms_of_the_glossary_are_unique_and_in_order() -> None:
    lines = (DOCS / "glossary.md").read_text().split("\n\n", 2)[2].splitlines()
    terms = []
    for line in lines:
        found = re.fullmatch(r"- \*\*([^*]+)\*\*: .+\.", line)
        assert found, line
        terms.append(found[1])
    assert len(terms) > 50
    assert terms == sorted(set(terms), key=str.lower)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(DOCS)))
def test_headings_of_a_page_are_unique(page: Path) -> None:
    headings = _HEADING.findall(re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S))
    assert len(headings) == len(set(headings))


def test_generated_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(DOCS / "generate"), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_page_which_drifted_is_told(tmp_path: Path) -> None:
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    script = tmp_path / "docs" / "generate"
    script.write_text((DOCS / "generate").read_text())
    (tmp_path / "docs" / "manual.py").write_text((DOCS / "manual.py").read_text())
    for name in ("cli.md", "metrics.md", "journal-spec.md", "gazette-journalctl.1"):
        (tmp_path / "docs" / "reference" / name).write_text("Older.\n")
    done = subprocess.run(
        [sys.executable, str(script), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "docs/reference/cli.md differs: run docs/generate and commit\n"
        "docs/reference/metrics.md differs: run docs/generate and commit\n"
        "docs/reference/journal-spec.md differs: run docs/generate and commit\n"
        "docs/reference/gazette-journalctl.1 differs: run docs/generate and commit\n"
    )


@pytest.mark.parametrize("program", [main.root, journalctl.cli], ids=["gazette-py", "journalctl"])
def test_every_option_is_in_the_reference(program: click.Command) -> None:
    text = (DOCS / "reference" / "cli.md").read_text()
    known = set(re.findall(r"`(--[\w.-]+)`", text)) | {"--help"}
    told = set(options(program))
    assert len(told) > 10
    assert told - known == set()


def test_pages_name_no_place_of_one_machine() -> None:
    for page in pages():
        assert not re.search(r"(?<![\w.])/(work|home|root|tmp|Users)/", page.read_text()), page


def test_commands_and_their_output_are_told_apart(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ cat <<'END'\n> a\n>\n> b\n> END\na\n\nb\n$ true\n```\n"
        "```console background\n$ stay\nready\n```\n```text\n$ not this\n```\n"
    )
    found = [(each.text, each.output, each.is_background) for each in commands(page)]
    assert found == [
        ("cat <<'END'\na\n\nb\nEND", "a\n\nb\n", False),
        ("true", "", False),
        ("stay", "ready\n", True),
    ]


@pytest.mark.parametrize(
    ("expected", "actual", "is_match"),
    [
        ("a\n", "a\n", True),
        ("a\n", "a\nb\n", False),
        ("a\n", "", False),
        ("", "a\n", False),
        ("a ...\n", "a 1 2\n", True),
        ("a ... c\n", "a b d\n", False),
        ("...\nc\n", "a\nb\nc\n", True),
        ("a\n...\n", "a\n", True),
        ("a.\n", "ab\n", False),
    ],
)
def test_outputs_are_compared(expected: str, actual: str, is_match: bool) -> None:
    assert matches(expected, actual) is is_match


def test_the_manual_page_has_every_command_and_renders() -> None:
    page = DOCS / "reference" / "gazette-journalctl.1"
    text = page.read_text().replace("\\-", "-")
    for name in journalctl.cli.list_commands(click.Context(journalctl.cli)):
        assert f'.SS "gazette-journalctl {name}' in text
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("there is no groff")
    command = [groff, "-man", "-Tutf8", "-ww", "-z", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
