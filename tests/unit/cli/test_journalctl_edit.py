"""`journalctl edit`: with brokers in this process, and editors which are scripts."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from journalctl_in_process import call

from gazette_py.cli.changes import Current
from gazette_py.cli.edit_merge import merge
from gazette_py.cli.edit_text import has_warnings, with_header, without_header
from gazette_py.cli.errors import ExitCode
from gazette_py.cli.tree import Entry
from gazette_py.protocol.journal import FragmentSpec, JournalSpec
from gazette_py.protocol.labels import LabelSet
from gazette_py.testing import InProcessCluster

JOURNALCTL = f"{shlex.quote(sys.executable)} -m gazette_py.cli.journalctl"


class Editor:
    """A script as editor, which does something else each time it is opened."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
        self._directory = directory
        self._address = address
        script = directory / "editor"
        script.write_text(
            '#!/bin/sh\ncd "$(dirname "$0")"\nset -e\n'
            "n=$(($(cat opened) + 1))\necho $n > opened\n"
            'cp "$1" shown-$n\n. ./step-$n\n'
        )
        script.chmod(0o755)
        (directory / "opened").write_text("0")
        (directory / "tmp").mkdir()
        monkeypatch.setenv("EDITOR", str(script))
        monkeypatch.delenv("GAZ_EDITOR", raising=False)
        monkeypatch.setattr("tempfile.tempdir", str(directory / "tmp"))

    def does(self, *steps: str) -> None:
        """Set what it does, as shell commands; the file is $1."""
        for i, step in enumerate(steps, 1):
            step = step.replace("journalctl", JOURNALCTL)
            text = f"export BROKER_ADDRESS={self._address}\n{step}\n"
            (self._directory / f"step-{i}").write_text(text)

    @property
    def shown(self) -> list[str]:
        """The texts which it was given."""
        count = int((self._directory / "opened").read_text())
        return [(self._directory / f"shown-{i}").read_text() for i in range(1, count + 1)]

    @property
    def left(self) -> list[Path]:
        """The files which it was given and are still there, by age."""
        return sorted((self._directory / "tmp").iterdir(), key=lambda path: path.stat().st_mtime_ns)


@pytest.fixture
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as cluster:
        cluster.create("acme/a", "acme/b")
        yield cluster


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: InProcessCluster) -> Editor:
    return Editor(tmp_path, monkeypatch, cluster.addresses[0])


def spec(cluster: InProcessCluster, name: str) -> str:
    return call(cluster, "list", name, "-o", "yaml").stdout


def test_what_was_changed_is_applied(cluster: InProcessCluster, editor: Editor) -> None:
    editor.does('sed -i "s/- name: acme.b/&\\n  max_append_rate: 4096/" "$1"')

    result = call(cluster, "edit", "acme/", "-o", "jsonl")

    assert '"name":"acme/b","action":"updated"' in result.stdout
    assert "acme/a" not in result.stdout
    assert "Applied: 1 updated." in result.stderr
    assert "max_append_rate: 4096" in spec(cluster, "acme/b")
    assert "max_append_rate" not in spec(cluster, "acme/a")
    assert editor.left == []


def test_journals_are_created_and_deleted(cluster: InProcessCluster, editor: Editor) -> None:
    editor.does('sed -i "s/- name: acme.a/&\\n  delete: true/" "$1"; echo "- name: acme/c" >> "$1"')

    result = call(cluster, "edit", "acme/", "-o", "tsv")

    assert "deleted\tacme/a\t" in result.stdout
    assert "created\tacme/c\t" in result.stdout
    names = call(cluster, "list", "-o", "name").stdout
    assert "acme/a" not in names
    assert "acme/c" in names


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("true", "Cancelled; nothing to do."),
        ('printf "\\n  \\n" > "$1"', "Cancelled; empty file."),
        ('sed -i "s/^#.*//" "$1"; sed -i "/^$/d" "$1"', "Cancelled; nothing to do."),
        ('echo "# looked at" >> "$1"', "Nothing changes by this."),
    ],
)
def test_what_is_no_change_ends_without_one(
    cluster: InProcessCluster, editor: Editor, step: str, told: str
) -> None:
    before = spec(cluster, "acme/a")
    editor.does(step)

    result = call(cluster, "edit", "acme/a")

    assert told in result.stderr
    assert editor.left == []
    assert spec(cluster, "acme/a") == before


def test_a_faulty_text_is_shown_again_with_the_reason(
    cluster: InProcessCluster, editor: Editor
) -> None:
    editor.does(
        'sed -i "s/replication: 1/replication: 100 # more/" "$1"',
        'sed -i "s/replication: 100/replication: 1\\nmax_append_rate: 8192/" "$1"',
    )

    call(cluster, "edit", "acme/a")

    first, second = editor.shown
    assert not has_warnings(first)
    assert "\n#⚠ error: text:1: acme/a (INVALID): invalid Replication (100;" in second
    header = int(re.search(r"do not count these (\d+) lines", second)[1])  # type: ignore[index]
    assert second.splitlines()[header] == "name: acme/a"
    assert "replication: 100 # more" in second
    assert "max_append_rate: 8192" in spec(cluster, "acme/a")
    assert editor.left == []


def test_who_gives_up_finds_the_text_again(cluster: InProcessCluster, editor: Editor) -> None:
    for give_up, told in (("true", "no changes to invalid file"), (': > "$1"', "empty file")):
        editor.does('echo "mine: 1" >> "$1"', give_up)

        result = call(cluster, "edit", "acme/a", code=ExitCode.USAGE)

        assert told in result.stderr
        assert "unknown field mine" in result.stderr
        (left,) = editor.left
        assert f"The text is saved in {left}" in result.stderr
        assert "mine: 1" in left.read_text()
        left.unlink()
        (left.parents[1] / "opened").write_text("0")


def test_changes_of_others_are_merged(cluster: InProcessCluster, editor: Editor) -> None:
    """Another one changes a journal, between what we were shown and what we apply."""
    editor.does(
        "journalctl label -l name=acme/a owner=them\n"
        'sed -i "s/- name: acme.a/&\\n  max_append_rate: 4096 # ours/" "$1"',
        'sed -i "/^#⚠/d" "$1"',
    )

    result = call(cluster, "edit", "acme/")

    _, second = editor.shown
    note = next(line for line in second.splitlines() if "changed meanwhile" in line)
    assert re.fullmatch(
        r"#⚠ acme/a was changed meanwhile, and is at revision \d+: labels.owner is now them", note
    )
    assert "acme/b was" not in second
    text = spec(cluster, "acme/a")
    assert "max_append_rate: 4096" in text
    assert "value: them" in text
    assert "Applied: 1 updated." in result.stderr
    assert editor.left == []


def test_a_merge_which_is_not_accepted_changes_nothing(
    cluster: InProcessCluster, editor: Editor
) -> None:
    editor.does(
        "journalctl label -l name=acme/a owner=them\n"
        'sed -i "s/^name: acme.a/&\\nmax_append_rate: 4096 # ours/" "$1"',
        "true",
    )

    result = call(cluster, "edit", "acme/a", code=ExitCode.CONFLICT)

    assert "max_append_rate" not in spec(cluster, "acme/a")
    ours, merged = editor.left
    assert "4096 # ours" in ours.read_text()
    assert "value: them" in merged.read_text()
    assert str(ours) in result.stderr
    assert str(merged) in result.stderr


def test_a_journal_deleted_meanwhile_is_told(cluster: InProcessCluster, editor: Editor) -> None:
    editor.does(
        "journalctl delete acme/a --yes\n"
        'sed -i "s/- name: acme.a/&\\n  max_append_rate: 4096/" "$1"',
        'sed -i "/^#⚠/d" "$1"',
    )

    result = call(cluster, "edit", "acme/", "-o", "tsv")

    assert "acme/a was deleted meanwhile; what you changed would create it anew" in editor.shown[1]
    assert "created\tacme/a\t" in result.stdout


def test_brokers_which_refuse_are_no_end(cluster: InProcessCluster, editor: Editor) -> None:
    cluster.faults.refuse("Apply", code="PERMISSION_DENIED", detail="not today")
    editor.does(
        'sed -i "s/^name: acme.a/&\\nmax_append_rate: 4096/" "$1"',
        'sed -i "/^#⚠/d" "$1"',
    )

    call(cluster, "edit", "acme/a")

    assert "not today" in editor.shown[1]
    assert "max_append_rate: 4096" in spec(cluster, "acme/a")
    assert editor.left == []


def test_an_editor_which_fails_is_the_end(cluster: InProcessCluster, editor: Editor) -> None:
    editor.does('sed -i "s/^name: acme.a/&\\nmax_append_rate: 4096/" "$1"; exit 7')

    result = call(cluster, "edit", "acme/a", code=ExitCode.ERROR)

    assert "it ended with 7" in result.stderr
    assert "max_append_rate: 4096" in editor.left[0].read_text()
    assert "max_append_rate" not in spec(cluster, "acme/a")


def test_a_script_is_not_asked_without_end(cluster: InProcessCluster, editor: Editor) -> None:
    editor.does(*['echo "mine: 1" >> "$1"'] * 20)

    result = call(cluster, "edit", "acme/a", code=ExitCode.USAGE)

    assert "unknown field mine" in result.stderr
    assert len(editor.shown) == 10
    assert len(editor.left) == 1


def test_nothing_to_edit_is_told(cluster: InProcessCluster, editor: Editor) -> None:
    result = call(cluster, "edit", "-l", "name=acme/none", code=ExitCode.NO_MATCH)
    assert "no journal matches" in result.stderr
    assert editor.shown == []


def test_without_a_terminal_an_editor_must_be_named(
    cluster: InProcessCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.delenv("GAZ_EDITOR", raising=False)
    result = call(cluster, "edit", "acme/a", code=ExitCode.USAGE)
    assert "no terminal to edit on" in result.stderr


def test_changes_go_in_batches(cluster: InProcessCluster, editor: Editor) -> None:
    editor.does('sed -i "s/- name: .*/&\\n  max_append_rate: 4096/" "$1"')

    result = call(cluster, "edit", "acme/", "--max-txn-size", "1", "-o", "tsv")

    revisions = [line.split("\t")[2] for line in result.stdout.splitlines() if "updated" in line]
    assert len(set(revisions)) == 2


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)],
)
def test_signals_leave_the_text(
    cluster: InProcessCluster, editor: Editor, number: int, code: int
) -> None:
    """As a terminal does, the signal goes to the editor, too."""
    editor.does('echo "# ours" >> "$1"; touch is-open; exec sleep 60')
    directory = Path(os.environ["EDITOR"]).parent
    process = subprocess.Popen(
        [*shlex.split(JOURNALCTL), "edit", "acme/a", "--broker.address", cluster.addresses[0]],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(directory / "tmp")},
    )
    try:
        deadline = time.monotonic() + 60
        while not (directory / "is-open").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    (left,) = editor.left
    assert str(left) in err
    assert "# ours" in left.read_text()


def test_texts_may_go_on_in_gazctl_and_back() -> None:
    """The marks are those which gazctl knows."""
    text = "name: a/b # kept\n# kept, too\n"
    ours = with_header(text, ["error: so"])
    assert all(
        line.startswith((b"#\xe2\x9a\x99", b"#\xe2\x9a\xa0")) or line in text.encode()
        for line in ours.encode().splitlines()
    )
    assert without_header(ours) == text
    theirs = "#⚙ Edit the spec below.\n#⚙\n#⚠ There were errors\r\n#⚠\n"
    assert without_header(theirs + "name: a/b # kept\r\n# kept, too") == text


def test_notes_tell_both_values_of_what_both_changed() -> None:
    base = JournalSpec(
        name="a/b",
        replication=1,
        labels=LabelSet.of(("env", "prod")),
        fragment=FragmentSpec(refresh_interval_ns=60 * 10**9),
    )
    mine = replace(base, replication=2, labels=LabelSet.of(("env", "test")))
    theirs = replace(
        base, replication=3, labels=LabelSet(), fragment=FragmentSpec(refresh_interval_ns=10**9)
    )

    merged = merge(
        {"a/b": Current(spec=base, revision=5)},
        [Entry(spec=mine, revision=5)],
        {"a/b": Current(spec=theirs, revision=9)},
    )

    assert merged.notes == [
        "a/b was changed meanwhile, and is at revision 9: replication is now 3, yours stays 2,"
        " fragment.refresh_interval is now 1s, labels.env is now none, yours stays test"
    ]
    (entry,) = merged.entries
    assert entry == Entry(spec=replace(mine, fragment=theirs.fragment), revision=9)


def test_a_journal_made_meanwhile_is_merged_with_ours() -> None:
    mine = Entry(spec=JournalSpec(name="a/b", replication=2))
    theirs = Current(spec=JournalSpec(name="a/b", replication=3), revision=9)

    merged = merge({}, [mine], {"a/b": theirs})

    assert merged.entries == [replace(mine, revision=9)]
    assert merged.notes == [
        "a/b was created meanwhile, and is at revision 9: replication is now 3, yours stays 2"
    ]
