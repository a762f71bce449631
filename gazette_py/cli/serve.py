"""`gazette-py serve`: flags, environment and configuration file of one broker.

Precedence: flag, environment, file (`--config`), default. Options whose feature is not built yet
are known, and refused: a broker which ignored `--broker.server-ca-file` would be open to all.
"""

import sys
import tomllib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from gazette_py.cli.errors import usage
from gazette_py.cli.examples import WithExamples
from gazette_py.cli.options import parsed_by
from gazette_py.cli.quantities import parse_duration_ns, parse_size

if TYPE_CHECKING:
    from gazette_py.broker.config import BrokerConfig

_UNBUILT: Final = {
    "broker.server-cert-file": "TLS",
    "broker.server-cert-key-file": "TLS",
    "broker.server-ca-file": "TLS",
    "broker.peer-cert-file": "TLS",
    "broker.peer-cert-key-file": "TLS",
    "broker.peer-ca-file": "TLS",
}

_SECRET: Final = frozenset({"etcd.password", "broker.auth-keys"})

_EXTRA_ENV: Final = {"etcd.lease": "ETCD_LEASE_TTL"}


_NS: Final = 1_000_000_000


def _seconds(text: str) -> float:
    return parse_duration_ns(text) / _NS


def _permissions(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError as exc:
        raise ValueError(f"{text!r} is no octal number such as 0640") from exc


def _origins(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        parts = urlsplit(text)
        if not (parts.scheme and parts.netloc and text == f"{parts.scheme}://{parts.netloc}"):
            raise usage(
                "--broker.allow-origin",
                f"{text!r} is no origin",
                "Give scheme://host or scheme://host:port, as browsers send it: without a path.",
            )
    return texts


def _option(name: str, **attrs: Any) -> Callable[[Any], Any]:
    env = _EXTRA_ENV.get(name, name.upper().replace(".", "_").replace("-", "_"))
    attrs.setdefault("show_default", True)
    return click.option(f"--{name}", _parameter(name), envvar=env, show_envvar=True, **attrs)


def _parameter(name: str) -> str:
    return name.replace(".", "_").replace("-", "_")


def _unbuilt(command: Any) -> Any:
    for name, feature in reversed(_UNBUILT.items()):
        command = _option(name, default=None, help=f"Refused: {feature} is not built yet.")(command)
    return command


def _load_file(ctx: click.Context, _param: click.Parameter, path: str | None) -> str | None:
    """Take values of a TOML file as defaults, before the other options are looked at."""
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            sections = tomllib.load(file)
    except OSError as exc:
        raise usage("--config", f"cannot read {path}: {exc.strerror}") from exc
    except tomllib.TOMLDecodeError as exc:
        raise usage("--config", f"{path} is no TOML: {exc}") from exc
    known = {param.name for param in ctx.command.params}
    values: dict[str, Any] = {}
    for section, options in sections.items():
        for key, value in options.items() if isinstance(options, Mapping) else ():
            name = _parameter(f"{section}.{key}")
            if name not in known:
                raise usage("--config", f"{path}: there is no option {section}.{key}")
            values[name] = value
        if not isinstance(options, Mapping):
            raise usage("--config", f"{path}: {section} is no section", "Write [broker] or [etcd].")
    ctx.default_map = values
    return path


_EXAMPLES = r"""
gazette-py serve --etcd.address http://127.0.0.1:2379 --broker.port 8080 \
    --broker.file-root /var/lib/gazette
BROKER_ZONE=eu-west-1a BROKER_PORT=8080 gazette-py serve --log.level info
"""


@click.command("serve", short_help="One broker.", cls=WithExamples, epilog=_EXAMPLES)
@click.option(
    "--config",
    type=click.Path(dir_okay=False),
    is_eager=True,
    expose_value=False,
    callback=_load_file,
    help="TOML file with sections [broker], [http], [etcd], [log] and [debug].",
)
@click.option(
    "--print-config", is_flag=True, help="Print the configuration with its sources, exit."
)
@_option("broker.zone", default="local", help="Failure zone of this process.")
@_option("broker.id", default="", help="Name, unique in the zone, 4 to 128 characters. Or random.")
@_option("broker.host", default="", help="Advertised host; this machine's name if it is not given.")
@_option("broker.port", default="", help="gRPC port, or unix:///path; a free one if not given.")
@_option("broker.http-port", type=int, default=None, help="HTTP port; the one after the gRPC port.")
@_option(
    "broker.allow-origin",
    multiple=True,
    metavar="ORIGIN",
    help="Origin whose pages may use the HTTP gateways, such as http://host:port. Repeatable.",
)
@_option(
    "broker.max-grpc-recv-size",
    callback=parsed_by(parse_size),
    default="4194304",
    help="Bytes of one message.",
)
@_option("broker.limit", type=int, default=1024, help="Journals assigned to this process at most.")
@_option(
    "broker.file-root",
    type=click.Path(exists=True, file_okay=False),
    default=None,
    help="Directory which roots file:// stores.",
)
@_option("broker.file-only", is_flag=True, help="Every store is the file root. For tests.")
@_option(
    "broker.file-mode",
    callback=parsed_by(_permissions),
    default="0640",
    help="Permissions of stored files.",
)
@_option(
    "broker.max-append-rate",
    callback=parsed_by(parse_size),
    default="0",
    help="Bytes/s of each journal; 0: any.",
)
@_option(
    "broker.min-append-rate",
    callback=parsed_by(parse_size),
    default="65536",
    help="Bytes/s which a client must sustain.",
)
@_option("broker.max-replication", type=int, default=9, help="Upper bound of replication.")
@_option(
    "broker.watch-delay",
    callback=parsed_by(_seconds),
    default="30ms",
    help="Batching of etcd events.",
)
@_option("broker.auto-suspend", is_flag=True, help="Suspend journals which are idle for long.")
@_option(
    "broker.auth-keys",
    default="",
    help="Keys of tokens, in base64, with commas or blanks between: the first signs, each verifies;"
    " AA== beside them lets in calls without a token. All brokers share them. Better given by the"
    " environment.",
)
@_option(
    "broker.no-watermarks",
    is_flag=True,
    help="Do not tell in stores up to when journals with a flush interval are whole there.",
)
@_option(
    "broker.shutdown-timeout",
    callback=parsed_by(_seconds),
    default="540s",
    help="How long a stop waits for others to take over.",
)
@_option("broker.spool-dir", default="", help="Directory of open fragments; a temporary one.")
@_option(
    "broker.spool-max-bytes",
    callback=parsed_by(parse_size),
    default="0",
    help="Its size; 0: 90 % of free disk.",
)
@_option("broker.persist-concurrency", type=int, default=32, help="Uploads at a time.")
@_unbuilt
@_option(
    "http.compat",
    is_flag=True,
    help="Answer every append over HTTP which is refused with 500, as Gazette does.",
)
@_option("etcd.address", default="http://localhost:2379", help="URL of etcd.")
@_option("etcd.prefix", default="/gazette/cluster", help="Root of the cluster's keys.")
@_option(
    "etcd.lease",
    callback=parsed_by(_seconds),
    default="20s",
    help="Time to live of our membership.",
)
@_option("etcd.cert-file", default="", help="Client certificate.")
@_option("etcd.cert-key-file", default="", help="Its key.")
@_option("etcd.trusted-ca-file", default="", help="Authority which signed etcd's certificate.")
@_option("etcd.user", default="", help="User name.")
@_option("etcd.password", default="", help="Password. Better given by the environment.")
@_option("log.level", default="warn", help="trace, debug, info, warn, error or fatal.")
@_option("log.format", default="text", help="text, json or color.")
@_option("debug.host", default="127.0.0.1", help="Address of --debug.port.")
@_option("debug.port", type=int, default=None, help="A second HTTP port, of diagnostics.")
@_option("debug.private", is_flag=True, help="Diagnostics on --debug.port only.")
@click.pass_context
def command(ctx: click.Context, /, *, print_config: bool, **values: Any) -> None:
    """Run one broker.

    It prints nothing but its log. SIGTERM hands its journals to other brokers and ends it; a second
    one does not wait for them.
    """
    for name, feature in _UNBUILT.items():
        if values[_parameter(name)]:
            raise usage(f"--{name}", f"{feature} is not built yet", "Leave the option out.")
    if print_config:
        _print(ctx)
        return
    if not __debug__:
        raise usage("python -O", "assertions guard the data, and must stay on")
    config = _config(values)
    _warn_if_slow()
    import asyncio

    from gazette_py.broker.server import run_broker
    from gazette_py.telemetry.log import install

    install(values["log_level"], values["log_format"])
    asyncio.run(run_broker(config))


def _config(values: Mapping[str, Any]) -> "BrokerConfig":
    from gazette_py.broker.config import BrokerConfig, EtcdConfig

    port = values["broker_port"]
    if port and not port.startswith("unix://") and not (port.isdigit() and int(port) < 1 << 16):
        raise usage("--broker.port", f"{port!r} is neither a port number nor unix:///path")
    return BrokerConfig(
        zone=values["broker_zone"],
        id=values["broker_id"],
        host=values["broker_host"],
        port=port,
        http_port=values["broker_http_port"],
        allow_origins=_origins(values["broker_allow_origin"]),
        http_compat=values["http_compat"],
        max_grpc_recv_size=values["broker_max_grpc_recv_size"],
        limit=values["broker_limit"],
        file_root=values["broker_file_root"] or "",
        file_only=values["broker_file_only"],
        file_mode=values["broker_file_mode"],
        max_append_rate=values["broker_max_append_rate"],
        min_append_rate=values["broker_min_append_rate"],
        max_replication=values["broker_max_replication"],
        watch_delay_s=values["broker_watch_delay"],
        auto_suspend=values["broker_auto_suspend"],
        auth_keys=values["broker_auth_keys"],
        watermarks=not values["broker_no_watermarks"],
        shutdown_timeout_s=values["broker_shutdown_timeout"],
        spool_dir=values["broker_spool_dir"],
        spool_max_bytes=values["broker_spool_max_bytes"],
        persist_concurrency=values["broker_persist_concurrency"],
        debug_host=values["debug_host"],
        debug_port=values["debug_port"],
        debug_private=values["debug_private"],
        etcd=EtcdConfig(
            address=values["etcd_address"],
            prefix=values["etcd_prefix"],
            lease_s=max(1, round(values["etcd_lease"])),
            cert_file=values["etcd_cert_file"],
            cert_key_file=values["etcd_cert_key_file"],
            trusted_ca_file=values["etcd_trusted_ca_file"],
            user=values["etcd_user"],
            password=values["etcd_password"],
        ),
    )


def _print(ctx: click.Context) -> None:
    """Print every option, its value and where that came from."""
    names = {
        ParameterSource.COMMANDLINE: "flag",
        ParameterSource.ENVIRONMENT: "environment",
        ParameterSource.DEFAULT_MAP: "file",
    }
    for param in ctx.command.params:
        option = param.opts[0].removeprefix("--")
        if "." not in option or option in _UNBUILT or param.name is None:
            continue
        value = ctx.params[param.name]
        shown = "***" if option in _SECRET and value else value
        source = names.get(ctx.get_parameter_source(param.name) or ParameterSource.DEFAULT)
        click.echo(f"{option} = {shown!r}  # {source or 'default'}")


def _warn_if_slow() -> None:
    from google.protobuf.internal import api_implementation

    if api_implementation.Type() != "upb":
        print("warning: protobuf runs without its upb runtime: 10 times slower", file=sys.stderr)
