"""Options of `gazette-py serve`: the reference's names and defaults, and what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gazette_py.cli.errors import CommandError
from gazette_py.cli.serve import command

# Flag, environment, default, another text, and its value. From the reference's `gazette serve`.
OPTIONS = [
    ("broker.zone", "BROKER_ZONE", "'local'", "a", "'a'"),
    ("broker.id", "BROKER_ID", "''", "name", "'name'"),
    ("broker.host", "BROKER_HOST", "''", "h", "'h'"),
    ("broker.port", "BROKER_PORT", "''", "8080", "'8080'"),
    ("broker.max-grpc-recv-size", "BROKER_MAX_GRPC_RECV_SIZE", "4194304", "1000", "1000"),
    ("broker.limit", "BROKER_LIMIT", "1024", "7", "7"),
    ("broker.file-root", "BROKER_FILE_ROOT", "None", "/", "'/'"),
    ("broker.max-append-rate", "BROKER_MAX_APPEND_RATE", "0", "10", "10"),
    ("broker.min-append-rate", "BROKER_MIN_APPEND_RATE", "65536", "10", "10"),
    ("broker.max-replication", "BROKER_MAX_REPLICATION", "9", "3", "3"),
    ("broker.watch-delay", "BROKER_WATCH_DELAY", "0.03", "1s", "1.0"),
    ("broker.allow-origin", "BROKER_ALLOW_ORIGIN", "()", "http://a:1", "('http://a:1',)"),
    ("etcd.address", "ETCD_ADDRESS", "'http://localhost:2379'", "http://e:1", "'http://e:1'"),
    ("etcd.lease", "ETCD_LEASE_TTL", "20.0", "2s", "2.0"),
    ("etcd.prefix", "ETCD_PREFIX", "'/gazette/cluster'", "/x", "'/x'"),
    ("log.level", "LOG_LEVEL", "'warn'", "info", "'info'"),
    ("log.format", "LOG_FORMAT", "'text'", "json", "'json'"),
    ("debug.port", "DEBUG_PORT", "None", "9", "9"),
]

UNBUILT = [
    "broker.server-cert-file",
    "broker.server-cert-key-file",
    "broker.server-ca-file",
    "broker.peer-cert-file",
    "broker.peer-cert-key-file",
    "broker.peer-ca-file",
]


def printed(*arguments: str, env: dict[str, str] | None = None) -> list[str]:
    result = CliRunner().invoke(command, ["--print-config", *arguments], env=env or {})
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


@pytest.mark.parametrize(("flag", "variable", "default", "text", "value"), OPTIONS)
def test_options_are_those_of_the_reference(
    flag: str, variable: str, default: str, text: str, value: str
) -> None:
    assert f"{flag} = {default}  # default" in printed()
    assert f"{flag} = {value}  # flag" in printed(f"--{flag}", text)
    assert f"{flag} = {value}  # environment" in printed(env={variable: text})
    assert f"{flag} = {value}  # flag" in printed(f"--{flag}", text, env={variable: "1"})


def refused(result: Result) -> CommandError:
    assert isinstance(result.exception, CommandError), result.output
    assert result.exception.failure.code == 2
    return result.exception


@pytest.mark.parametrize("flag", UNBUILT)
def test_an_option_whose_feature_is_not_built_is_refused(flag: str) -> None:
    """Accepted and ignored, `--broker.server-ca-file` would leave a broker open to everybody."""
    variable = flag.upper().replace(".", "_").replace("-", "_")
    runner = CliRunner()
    for result in (
        runner.invoke(command, [f"--{flag}", "c2VjcmV0"], standalone_mode=False),
        runner.invoke(command, [], env={variable: "c2VjcmV0"}, standalone_mode=False),
    ):
        failure = refused(result).failure
        assert failure.what == f"--{flag}"
        assert "is not built yet" in failure.detail
        assert "c2VjcmV0" not in result.output


@pytest.mark.parametrize("origin", ["*", "http://host/", "host:80", "null", ""])
def test_an_origin_which_no_browser_sends_is_refused(origin: str) -> None:
    flag = f"--broker.allow-origin={origin}"
    result = CliRunner().invoke(command, [flag], standalone_mode=False)
    assert refused(result).failure.detail == f"{origin!r} is no origin"


def test_appends_over_http_may_be_answered_as_the_reference_does() -> None:
    assert "http.compat = False  # default" in printed()
    assert "http.compat = True  # flag" in printed("--http.compat")


def test_it_does_not_run_without_assertions() -> None:
    """They guard the data."""
    ended = subprocess.run(
        [sys.executable, "-O", "-m", "gazette_py", "serve"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert "python -O" in ended.stderr


def test_a_file_gives_way_to_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text('[broker]\nzone = "from-file"\nlimit = 5\nmax-append-rate = 1000\n')
    lines = printed("--config", str(file), env={"BROKER_ZONE": "from-env"})
    assert "broker.zone = 'from-env'  # environment" in lines
    assert "broker.limit = 5  # file" in lines
    assert "broker.max-append-rate = 1000  # file" in lines


def test_secrets_are_not_printed() -> None:
    lines = printed("--broker.auth-keys", "c2VjcmV0", env={"ETCD_PASSWORD": "c2VjcmV0"})

    assert not [line for line in lines if "c2VjcmV0" in line]
    assert "broker.auth-keys = '***'  # flag" in lines


def test_what_is_no_key_is_refused_before_anything_is_begun() -> None:
    """With a port and an etcd which both would fail later."""
    failed = CliRunner().invoke(
        command, ["--broker.auth-keys", "c2V-mV0", "--etcd.address", "x://"], standalone_mode=False
    )

    assert "key 1 is not padded base64" in str(failed.exception)
    assert "c2V" not in str(failed.exception)
