"""What the commands of `journalctl` share: options, the connection, and choosing journals."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from gazette_py.cli.color import color_option
from gazette_py.cli.completing import complete_journals
from gazette_py.cli.confirm import confirm_name
from gazette_py.cli.errors import CommandError, TerminatedError, failure_of, no_match, usage
from gazette_py.cli.examples import WithExamples
from gazette_py.cli.quantities import parse_duration_ns, parse_size, parse_time
from gazette_py.cli.render import FORMATS, Output
from gazette_py.cli.secrets import Secrets
from gazette_py.cli.settings import context_options, settings_of, source_of
from gazette_py.clock import SYSTEM
from gazette_py.errors import ConfigError, GazetteError, ValidationError

if TYPE_CHECKING:
    # Both bring in gRPC, which `--help` must not wait for.
    from gazette_py.client.client import Client
    from gazette_py.client.listing import ListResult
    from gazette_py.protocol.labels import LabelSelector

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])

_NS = 1_000_000_000


def duration_option(*names: str, default: str | None = "0s", **more: Any) -> Callable[[_F], _F]:
    """Return an option whose value is a Go duration, given to the command in seconds."""
    return _parsed_option(
        names, "DURATION", lambda text: parse_duration_ns(text) / _NS, default, more
    )


def size_option(*names: str, default: str | None, **more: Any) -> Callable[[_F], _F]:
    """Return an option whose value is a number of bytes, with or without a unit."""
    return _parsed_option(names, "SIZE", parse_size, default, more)


def time_option(*names: str, **more: Any) -> Callable[[_F], _F]:
    """Return an option whose value is a moment, given in Unix seconds; 0 if it is left out."""
    return _parsed_option(names, "TIME", lambda text: parse_time(text, SYSTEM.now()), "0", more)


def _parsed_option(
    names: Sequence[str],
    metavar: str,
    parse: Callable[[str], object],
    default: str | None,
    more: dict[str, Any],
) -> Callable[[_F], _F]:
    return click.option(
        *names, **{"metavar": metavar, "default": default, "callback": parsed_by(parse)} | more
    )


def parsed_by(
    parse: Callable[[str], object],
) -> Callable[[click.Context, click.Parameter, str | None], object]:
    """Return a callback of an option which parses its text.

    Args:
        parse: Returns the value, or raises a `ValueError` which says what is wrong.
    """

    def callback(ctx: click.Context, param: click.Parameter, value: str | None) -> object:
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError as exc:
            raise click.BadParameter(str(exc), ctx, param) from exc

    return callback


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where brokers are, and how to talk to them."""

    address: str
    zone: str
    cache_size: int
    cache_ttl_s: float
    timeout_s: float
    auth_keys: str
    auth_token: str
    trusted_ca_file: str
    cert_file: str
    cert_key_file: str

    @asynccontextmanager
    async def connect(
        self, *, file_root: str = "", cache_size: int | None = None
    ) -> "AsyncIterator[Client]":
        """Provide a client."""
        from gazette_py.client.client import connect

        try:
            made = connect(
                self.address,
                zone=self.zone,
                cache_size=self.cache_size if cache_size is None else cache_size,
                cache_ttl_s=self.cache_ttl_s,
                timeout_s=self.timeout_s,
                file_root=file_root,
                auth_keys=self.auth_keys,
                auth_token=self.auth_token,
                trusted_ca_file=self.trusted_ca_file,
                cert_file=self.cert_file,
                cert_key_file=self.cert_key_file,
                metrics=False,  # Nobody scrapes a command.
            )
        except ConfigError as exc:
            if exc.option in _OPTIONS:
                option, hint = _OPTIONS[exc.option]
                raise usage(option, exc.reason, hint) from exc
            raise usage(
                f"--broker.address {self.address!r}",
                exc.reason,
                "It is like http://localhost:8080, also in $BROKER_ADDRESS.",
            ) from exc
        async with made as client:
            yield client


_PEM_HINT = "They are PEM files: text with -----BEGIN lines, the key without a password."

_OPTIONS = {
    "auth_keys": (
        "--broker.auth-keys",
        "Keys are base64 with its padding, such as `openssl rand -base64 32` prints.",
    ),
    "auth_token": ("--broker.auth-token", "Unset it, or $BROKER_AUTH_KEYS."),
    "trusted_ca_file": ("--broker.trusted-ca-file", _PEM_HINT),
    "cert_file": ("--broker.cert-file", _PEM_HINT),
    "cert_key_file": ("--broker.cert-key-file", _PEM_HINT),
}
"""What `connect` calls its arguments, and what we do."""

_BROKER_OPTIONS = (
    click.option(
        "--broker.address",
        "broker_address",
        metavar="URL",
        default="http://localhost:8080",
        show_default=True,
        envvar=["GAZETTE_BROKER_ADDRESS", "BROKER_ADDRESS"],
        help="Any broker, or a balancer: http://, https:// or unix://. Several,"
        " with commas between, are tried in turn. [$BROKER_ADDRESS]",
    ),
    click.option(
        "--zone",
        metavar="ZONE",
        default="local",
        show_default=True,
        envvar=["GAZETTE_ZONE", "ZONE"],
        help="Zone we are in; its brokers are preferred. [$ZONE]",
    ),
    click.option(
        "--broker.cache.size",
        "cache_size",
        metavar="N",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        envvar=["GAZETTE_BROKER_CACHE_SIZE", "BROKER_CACHE_SIZE"],
        help="Routes to keep, to call journals' brokers directly; 0: brokers forward calls."
        " [$BROKER_CACHE_SIZE]",
    ),
    duration_option(
        "--broker.cache.ttl",
        "cache_ttl_s",
        default="1m",
        show_default=True,
        envvar=["GAZETTE_BROKER_CACHE_TTL", "BROKER_CACHE_TTL"],
        help="How long to keep a route. [$BROKER_CACHE_TTL]",
    ),
    click.option(
        "--broker.auth-keys",
        "auth_keys",
        metavar="KEYS",
        default="",
        envvar=["GAZETTE_BROKER_AUTH_KEYS", "BROKER_AUTH_KEYS"],
        help="Keys which brokers verify by, in base64, with commas or blanks between; the first"
        " signs. Not for shells: they remember it. [$BROKER_AUTH_KEYS]",
    ),
    click.option(
        "--auth-keys-file",
        "auth_keys_file",
        metavar="FILE",
        default="",
        envvar="GAZETTE_AUTH_KEYS_FILE",
        help="File of such keys. [$GAZETTE_AUTH_KEYS_FILE]",
    ),
    click.option(
        "--broker.auth-token",
        "auth_token",
        metavar="TOKEN",
        default="",
        envvar=["GAZETTE_BROKER_AUTH_TOKEN", "BROKER_AUTH_TOKEN"],
        help="Token to bear, if we have no keys. Not for shells. [$BROKER_AUTH_TOKEN]",
    ),
    click.option(
        "--auth-token-file",
        "auth_token_file",
        metavar="FILE",
        default="",
        envvar="GAZETTE_AUTH_TOKEN_FILE",
        help="File of such a token. [$GAZETTE_AUTH_TOKEN_FILE]",
    ),
    click.option(
        "--broker.trusted-ca-file",
        "trusted_ca_file",
        metavar="FILE",
        default="",
        envvar=["GAZETTE_BROKER_TRUSTED_CA_FILE", "BROKER_TRUSTED_CA_FILE"],
        help="Authorities which sign certificates of https:// brokers, instead of the usual ones."
        " [$BROKER_TRUSTED_CA_FILE]",
    ),
    click.option(
        "--broker.cert-file",
        "cert_file",
        metavar="FILE",
        default="",
        envvar=["GAZETTE_BROKER_CERT_FILE", "BROKER_CERT_FILE"],
        help="Our certificate, for brokers which ask for one. [$BROKER_CERT_FILE]",
    ),
    click.option(
        "--broker.cert-key-file",
        "cert_key_file",
        metavar="FILE",
        default="",
        envvar=["GAZETTE_BROKER_CERT_KEY_FILE", "BROKER_CERT_KEY_FILE"],
        help="Its key. [$BROKER_CERT_KEY_FILE]",
    ),
    duration_option(
        "--request-timeout",
        default="30s",
        show_default=True,
        envvar="GAZETTE_REQUEST_TIMEOUT",
        help="Bound of each call, with its retries. [$GAZETTE_REQUEST_TIMEOUT]",
    ),
)


def broker_options(command: _F) -> _F:
    """Give a command the options of the connection, and a parameter `broker` for them."""

    @wraps(command)
    def with_broker(
        *args: Any,
        broker_address: str,
        zone: str,
        cache_size: int,
        cache_ttl_s: float,
        request_timeout: float,
        auth_keys: str,
        auth_keys_file: str,
        auth_token: str,
        auth_token_file: str,
        trusted_ca_file: str,
        cert_file: str,
        cert_key_file: str,
        **kwargs: Any,
    ) -> Any:
        secrets = Secrets(auth_keys, auth_keys_file, auth_token, auth_token_file)
        secrets = secrets.of_call(click.get_current_context())
        broker = Broker(
            address=broker_address,
            zone=zone,
            cache_size=cache_size,
            cache_ttl_s=cache_ttl_s,
            timeout_s=request_timeout,
            auth_keys=secrets.read_keys(),
            auth_token=secrets.read_token(),
            trusted_ca_file=trusted_ca_file,
            cert_file=cert_file,
            cert_key_file=cert_key_file,
        )
        return command(*args, broker=broker, **kwargs)

    return _with_options(with_broker, (*_BROKER_OPTIONS, context_options))


def changing_broker_options(command: _F) -> _F:
    """Give a command which changes something what `broker_options` does, and a question.

    A protected context asks for its name before anything is changed, unless it is a dry run.
    """

    @wraps(command)
    def with_question(*args: Any, confirm_context: str, **kwargs: Any) -> Any:
        settings = settings_of(click.get_current_context())
        if settings.is_protected and kwargs.get("dry_run") in (None, False, "none"):
            confirm_name(settings.context, confirm_context)
        return command(*args, **kwargs)

    option = click.option(
        "--confirm-context",
        metavar="NAME",
        default="",
        help="Name of the context, if it is protected; do not ask for it.",
    )
    return broker_options(_with_options(with_question, (option,)))


def output_options(*more: str, only: Sequence[str] = FORMATS) -> Callable[[_F], _F]:
    """Give a command `-o`, `--columns` and `--query`, and a parameter `output` for them."""

    def decorate(command: _F) -> _F:
        @wraps(command)
        def with_output(
            *args: Any, output: str | None, columns: str, query: str, **kwargs: Any
        ) -> Any:
            chosen = tuple(filter(None, (name.strip() for name in columns.split(","))))
            made = Output(format=output or "", columns=chosen, query=query)
            return command(*args, output=made, **kwargs)

        options = (
            click.option(
                "-o",
                "--output",
                type=click.Choice([*only, *more]),
                help="Format. Default: a table on a terminal, else its bare columns.",
            ),
            click.option(
                "--columns", metavar="A,B", default="", help="Columns of tables, in this order."
            ),
            click.option(
                "--query", metavar="JMESPATH", default="", help="Part of the JSON to print."
            ),
        )
        return _with_options(with_output, options)

    return decorate


_SELECTOR = click.option(
    "-l",
    "--selector",
    "selector",
    metavar="SELECTOR",
    help="Journals by their labels, such as 'env=prod, name:prefix=acme/'.",
)
_ALLOW_EMPTY = click.option(
    "--allow-empty", is_flag=True, help="It is no error if nothing is selected."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which journals a command is about: names, and names of directories; or a selector."""

    names: tuple[str, ...]
    selector: str | None
    allow_empty: bool

    @property
    def is_everything(self) -> bool:
        """Tell whether nothing restricts it."""
        return not self.names and not (self.selector or "").strip()

    def require(self) -> None:
        """Refuse a selection which was left out, though nobody means all journals by that."""
        if not self.names and self.selector is None:
            raise usage(
                "journals",
                "neither a NAME nor a selector was given",
                "Name journals, or directories such as acme/, or select them by -l;"
                " -l '' selects all.",
            )

    def label_selector(self) -> "LabelSelector":
        """Return it in the brokers' terms."""
        from gazette_py.protocol.labels import Label, LabelSelector, LabelSet, validate_selector
        from gazette_py.protocol.selector_text import parse_selector

        if self.names and self.selector is not None:
            raise usage("journals", "both names and -l were given", "Give one of them.")
        if self.names:
            wanted = {Label("name", name, name.endswith("/")) for name in self.names}
            return LabelSelector(LabelSet(tuple(sorted(wanted))))
        try:
            selector = parse_selector(self.selector or "")
            validate_selector(selector)
            return selector
        except ValidationError as exc:
            raise usage(
                f"selector {self.selector!r}",
                exc.reason,
                "A selector is like 'env=prod, region in (eu, us), !internal'.",
            ) from exc

    async def list(self, client: "Client") -> "ListResult":
        """Return the journals now.

        Raises:
            CommandError: There are none, or not all that were named.
        """
        result = await client.list(self.label_selector())
        found = [journal.spec.name for journal in result.journals]
        missing = [name for name in self.names if not _is_found(name, found)]
        if missing and not self.allow_empty:
            raise no_match(
                f"journal {missing[0]}",
                "no journal is below this name"
                if missing[0].endswith("/")
                else "it does not exist, or is not visible to us",
                "`journalctl list` names those which exist; a directory's name ends in '/'.",
            )
        if not found and not self.allow_empty:
            raise no_match(
                f"selector {self.selector!r}",
                "no journal matches",
                "`journalctl list` shows all; --allow-empty makes this a success.",
            )
        return result


def _is_found(name: str, found: Iterable[str]) -> bool:
    if name.endswith("/"):
        return any(journal.startswith(name) for journal in found)
    return name in found


def selection_options(command: _F) -> _F:
    """Give a command `NAME...`, `-l` and `--allow-empty`, and a parameter `selection` for them."""

    @wraps(command)
    def with_selection(
        *args: Any,
        names: tuple[str, ...],
        selector: str | None,
        allow_empty: bool,
        **kwargs: Any,
    ) -> Any:
        selection = Selection(names=names, selector=selector, allow_empty=allow_empty)
        return command(*args, selection=selection, **kwargs)

    argument = click.argument(
        "names", nargs=-1, metavar="[NAME]...", shell_complete=complete_journals
    )
    return _with_options(with_selection, (argument, _SELECTOR, _ALLOW_EMPTY))


def _with_options(command: Callable[..., Any], options: Sequence[Callable[[_F], _F]]) -> _F:
    for option in reversed(options):
        command = option(command)
    return cast("_F", command)


class Verb(WithExamples):
    """A command whose failures become exit codes and words, in JSON where its output is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(color_option())

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse arguments; a bad value which stood in a file is told with it.

        Raises:
            CommandError: Such a value.
            UsageError: Other bad arguments.
        """
        try:
            return super().make_context(*args, **kwargs)
        except click.BadParameter as exc:
            if exc.ctx is None or exc.param is None or exc.param.name is None:
                raise
            source = source_of(exc.ctx, exc.param.name)
            if not source or source.startswith(("flag", "$")):
                raise
            raise usage(source, f"{exc.param.opts[0]}: {exc.message}") from exc

    def invoke(self, ctx: click.Context) -> Any:
        """Run it.

        Raises:
            CommandError: It failed.
        """
        try:
            return super().invoke(ctx)
        except CommandError as exc:
            exc.is_json = self._is_json(ctx)
            raise
        except GazetteError as exc:
            raise CommandError(failure_of(exc), is_json=self._is_json(ctx)) from exc

    @staticmethod
    def _is_json(ctx: click.Context) -> bool:
        return str(ctx.params.get("output") or "").startswith("json")


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a command's work on an event loop; SIGTERM ends it as orderly as Ctrl-C does.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        TerminatedError: SIGTERM.
    """
    termination = _Termination()
    try:
        return asyncio.run(termination.bounds(work))
    except (KeyboardInterrupt, asyncio.CancelledError):
        if termination.is_asked_for:
            raise TerminatedError from None
        raise


class _Termination:
    """SIGTERM, which ends work as Ctrl-C does: the second time, also where it can only wait.

    The event loop's own handlers run in between what it runs, and so not while a write waits for
    somebody to read. This one does.
    """

    def __init__(self) -> None:
        self.is_asked_for = False

    async def bounds(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do the work, which is cancelled if it is to end."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None, "runs as a task"

        def terminate(*_: object) -> None:
            if self.is_asked_for:
                raise KeyboardInterrupt
            self.is_asked_for = True
            loop.call_soon_threadsafe(task.cancel)

        before = signal.signal(signal.SIGTERM, terminate)
        try:
            return await work
        finally:
            signal.signal(signal.SIGTERM, before)
