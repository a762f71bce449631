"""The fixtures, as tests of other projects use them: in a pytest of their own."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(120)


def run_pytest(directory: Path, source: str, *options: str) -> str:
    """Run a test file; return what pytest printed, once all has passed."""
    (directory / "test_theirs.py").write_text(textwrap.dedent(source))
    env = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, directory],
        cwd=directory,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_one_broker_for_each_test(tmp_path: Path) -> None:
    """Journals of one test are not there in the next; tests need no event loop of their own."""
    out = run_pytest(
        tmp_path,
        """
        import asyncio
        import pytest

        async def append(cluster):
            async with cluster.connect() as client:
                await client.append("theirs/journal", b"hello")
                return await client.read_all("theirs/journal", 0, 5)

        @pytest.mark.parametrize("nth", [1, 2])
        def test_append(gazette_broker, nth):
            gazette_broker.create("theirs/journal")
            assert asyncio.run(append(gazette_broker)) == b"hello"
        """,
    )
    assert "2 passed" in out


def test_three_brokers_and_faults_on_their_calls(tmp_path: Path) -> None:
    run_pytest(
        tmp_path,
        """
        import asyncio
        import pytest
        from gazette_py.errors import AppendOutcomeUnknownError

        async def lose_an_answer(cluster):
            async with cluster.connect() as client:
                cluster.faults.drop("Append")
                with pytest.raises(AppendOutcomeUnknownError):
                    await client.append("theirs/journal", b"hello")
                assert await client.write_head("theirs/journal") == 5

        def test_an_answer_is_lost(gazette_brokers):
            gazette_brokers.create("theirs/journal")
            asyncio.run(lose_an_answer(gazette_brokers))
        """,
    )


@pytest.mark.cluster
def test_real_brokers_which_can_be_killed(tmp_path: Path) -> None:
    run_pytest(
        tmp_path,
        """
        import asyncio
        from gazette_py.client import Change
        from gazette_py.protocol.journal import JournalSpec
        from gazette_py.testing.in_process import FRAGMENT

        async def append(cluster, content):
            async with cluster.connect() as client:
                return await client.append("theirs/journal", content, timeout_s=30)

        async def create(cluster):
            spec = JournalSpec(name="theirs/journal", replication=2, fragment=FRAGMENT)
            async with cluster.connect() as client:
                await client.apply([Change(expect_mod_revision=0, upsert=spec)])

        def test_the_primary_is_killed(gazette_cluster):
            asyncio.run(create(gazette_cluster))
            route = asyncio.run(append(gazette_cluster, b"before ")).header.route
            (primary,) = [
                b for b in gazette_cluster.brokers if b.id == route.primary_id.suffix
            ]
            gazette_cluster.kill(primary)
            assert asyncio.run(append(gazette_cluster, b"after")).commit.begin == 7
            gazette_cluster.start(primary)
        """,
    )


def test_pytest_starts_as_fast_as_without(tmp_path: Path) -> None:
    """The plugin is part of each start of pytest: it imports none of the brokers."""
    run_pytest(
        tmp_path,
        """
        import sys

        def test_nothing_is_imported(request):
            assert request.config.pluginmanager.has_plugin("gazette_py")
            assert "grpc" not in sys.modules
            assert "gazette_py.client" not in sys.modules
        """,
    )
