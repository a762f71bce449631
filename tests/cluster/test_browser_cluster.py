"""A browser follows a journal: its own EventSource, and brokers which `gazette-py dev` runs."""

import os
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from chromium import PROGRAM, chromium, page_server
from dev_process import dev

from gazette_py.client import Change, Client, connect
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.journal import FragmentSpec, JournalSpec
from gazette_py.protocol.labels import LabelSet

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        PROGRAM is None, reason="chromium is neither on PATH nor named by GAZETTE_TEST_CHROMIUM"
    ),
]

JOURNAL = "browsed/journal"

PAGE = """<!doctype html><title>journal</title><script>
window.told = []; window.opened = 0;
function follow(url) {
  const events = window.events = new EventSource(url);
  events.onopen = () => { window.opened += 1; };
  events.onmessage = (event) => { window.told.push([event.lastEventId, event.data]); };
  events.addEventListener("base64", (event) => {
    window.told.push([event.lastEventId, [...atob(event.data)].map((c) => c.charCodeAt(0))]);
  });
}
async function put(url, body, headers) {
  const answer = await fetch(url, {method: "PUT", body: body, headers: headers});
  return [answer.status, answer.headers.get("X-Commit-End")];
}
async function post(url, body) {
  try { return (await fetch(url, {method: "POST", body: body})).status; }
  catch (error) { return error.name; }
}
</script>"""


async def create(client: Client, content_type: str, content: bytes) -> None:
    spec = JournalSpec(
        name=JOURNAL,
        replication=1,
        labels=LabelSet.of(("content-type", content_type)),
        fragment=FragmentSpec(
            length=1 << 20,
            compression_codec=CompressionCodec.NONE,
            stores=("file:///",),
            refresh_interval_ns=1_000_000_000,
        ),
    )
    await client.apply([Change(upsert=spec, expect_mod_revision=0)])
    await client.append(JOURNAL, content)


def two_ports() -> int:
    """Return the first of two neighbouring ports, both free now: none which others look for."""
    for port in range(32_760, 32_768, 2):
        with ExitStack() as stack, suppress(OSError):
            for each in (port, port + 1):
                stack.enter_context(socket.create_server(("127.0.0.1", each)))
            return port
    raise AssertionError("no ports are free")


async def test_a_page_follows_a_journal_through_a_restart(tmp_path: Path) -> None:
    """The browser comes back by itself, and is told each line once."""
    with page_server(PAGE) as origin, page_server(PAGE) as stranger:
        env = {**os.environ, "BROKER_ALLOW_ORIGIN": origin}
        arguments = ["--brokers", "1", "--port", str(two_ports()), "--data-dir", str(tmp_path)]
        async with chromium() as browser:
            page = await browser.open(f"{origin}/page")
            await page.until("document.title", "journal")
            with dev(*arguments, env=env) as (_, ready):
                url = f"{ready['http'][0]}/{JOURNAL}"
                async with connect(ready["brokers"][0]) as client:
                    await create(client, "text/plain", b"one\ntwo\n")
                    await page.evaluate(f"follow('{url}?block=true')")
                    told: list[list[object]] = [["4", "one"], ["8", "two"]]
                    await page.until("window.told", told)

                    put = f"put('{url}', 'three\\n', {{'X-Append-Offset': '8'}})"
                    assert await page.evaluate(put) == [204, "14"]
                    await client.append(JOURNAL, b"\xff\n")
                    told += [["14", "three"], ["16", [255, 10]]]
                    await page.until("window.told", told)
                    assert await page.evaluate("window.opened") == 1

                    other = await browser.open(f"{stranger}/page")
                    await other.until("document.title", "journal")
                    assert await other.evaluate(f"post('{url}', 'evil')") == "TypeError"
                    assert (await client.append(JOURNAL)).commit.end == 16
            with dev(*arguments, env=env) as (_, ready):
                async with connect(ready["brokers"][0]) as client:
                    await client.append(JOURNAL, b"four\n")
                    told += [["21", "four"]]
                    await page.until("window.told", told)
                    assert await page.evaluate("window.opened > 1")


async def test_content_is_shown_and_never_run() -> None:
    """A page of the broker's own origin could append to all journals."""
    with dev("--brokers", "1") as (_, ready):
        (url,) = ready["http"]
        async with connect(ready["brokers"][0]) as client, chromium() as browser:
            script = b"<script>document.title = 'was run'</script><p>shown</p>\n"
            await create(client, "text/html", script)
            page = await browser.open(f"{url}/{JOURNAL}")
            await page.until("document.body?.innerText.trim()", "shown")
            assert await page.evaluate("document.title") == ""
