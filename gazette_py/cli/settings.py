"""Settings of the connection which nobody gave: contexts of the user's file, and `gazctl.ini`.

The file is `gazette/journalctl.toml` in the user's configuration directory. It has a table for each
context, `[context.prod]`, and may name the one in use, `current = "prod"`. Values are sought by
flag, environment, context, `gazctl.ini`, default, each by itself.

It reads files, and never changes them.
"""

import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from click.core import ParameterSource

from gazette_py.cli.errors import CommandError, usage

_F = TypeVar("_F", bound=Callable[..., Any])

CONTEXT_ENV = "GAZETTE_CONTEXT"
CONFIG_ENV = "GAZETTE_CONFIG"

SETTINGS: dict[str, str] = {
    "address": "broker, or several with commas between",
    "zone": "zone we are in",
    "cache_size": "routes to keep",
    "cache_ttl": "how long to keep a route",
    "request_timeout": "bound of each call",
    "auth_token_file": "file of a token to bear",
    "auth_keys_file": "file of keys to sign tokens by",
    "ca": "file of authorities which sign brokers' certificates",
    "cert": "file of our certificate",
    "key": "file of its key",
    "etcd": "etcd of the brokers",
    "etcd_prefix": "root of their keys in it",
    "protected": "whether changes ask for the context's name",
}
"""What a context may have."""

_CURRENT = "current"
_TABLE = "context"

_CONTEXT_KEY = f"{__name__}.context"
_CONFIG_KEY = f"{__name__}.config"
_SETTINGS_KEY = f"{__name__}.settings"

_SETTING_OF = {
    "broker_address": "address",
    "zone": "zone",
    "cache_size": "cache_size",
    "cache_ttl_s": "cache_ttl",
    "request_timeout": "request_timeout",
    "auth_token_file": "auth_token_file",
    "auth_keys_file": "auth_keys_file",
    "trusted_ca_file": "ca",
    "cert_file": "cert",
    "cert_key_file": "key",
    "etcd_address": "etcd",
    "etcd_prefix": "etcd_prefix",
    "auth_keys": "auth_keys",  # Of gazctl.ini only, like the next: a context has no secrets.
    "auth_token": "auth_token",
}
"""What stands in for an option, by the name of its parameter."""

_INI_NAMES: dict[str, tuple[str, str]] = {
    "zone": ("journals", "zone"),
    "address": ("journals.broker", "address"),
    "cert": ("journals.broker", "certfile"),
    "key": ("journals.broker", "certkeyfile"),
    "ca": ("journals.broker", "trustedcafile"),
    "auth_keys": ("journals.broker", "authkeys"),
    "auth_token": ("journals.broker", "authtoken"),
    "cache_size": ("journals.broker", "size"),
    "cache_ttl": ("journals.broker", "ttl"),
}
"""Section and key of `gazctl.ini`, in small letters."""

Values = Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class ContextFile:
    """What the file of contexts says."""

    path: Path
    contexts: Mapping[str, Values] = field(default_factory=dict)
    current: str = ""  # "": none.

    def get(self, name: str) -> Values:
        """Return the values of a context.

        Raises:
            CommandError: There is no such context.
        """
        if name not in self.contexts:
            raise usage(
                f"context {name}",
                f"it is not in {self.path}",
                f"There are {', '.join(self.contexts)}."
                if self.contexts
                else f"`journalctl context set {name} address=http://...` makes it.",
            )
        return self.contexts[name]


@dataclass(frozen=True, slots=True)
class Found:
    """A value, and where it stood."""

    value: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What stands in for flags and variables which were not given."""

    context: str = ""  # Name of the context in use; "": none.
    is_protected: bool = False
    values: Mapping[str, Found] = field(default_factory=dict)


def config_path(env: Mapping[str, str] = os.environ) -> Path:
    """Return where the file of contexts is, or would be."""
    if named := env.get(CONFIG_ENV):
        return Path(named)
    base = env.get("XDG_CONFIG_HOME", "")
    directory = Path(base) if base else Path(env.get("HOME", "~")).expanduser() / ".config"
    return directory / "gazette" / "journalctl.toml"


def load_contexts(path: Path) -> ContextFile:
    """Return the file of contexts; one which does not exist has none.

    Raises:
        CommandError: It cannot be read, or is not what it should be.
    """
    try:
        text = path.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError):
        return ContextFile(path)
    except OSError as exc:
        raise usage(f"file {path}", f"it cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise usage(f"file {path}", f"it is not UTF-8 text, at byte {exc.start}") from exc
    return parse_contexts(text, path)


def parse_contexts(text: str, path: Path) -> ContextFile:
    """Return what the text of a file of contexts says.

    Raises:
        CommandError: It is not what it should be.
    """
    import tomllib  # Not for `--help`.

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise usage(f"file {path}", f"it is no TOML: {exc}") from exc
    contexts = document.pop(_TABLE, {})
    current = document.pop(_CURRENT, "")
    if document:
        raise usage(
            f"file {path}", f"unknown key {next(iter(document))}", "It has [context.NAME] tables."
        )
    if not isinstance(contexts, dict) or not all(isinstance(c, dict) for c in contexts.values()):
        raise usage(f"file {path}", "`context` is no table of tables", "Write [context.NAME].")
    for name, values in contexts.items():
        for key, value in values.items():
            check_setting(f"file {path}, context {name}", key, value)
    if not isinstance(current, str) or (current and current not in contexts):
        raise usage(
            f"file {path}",
            f"current is {current!r}, which is none of its contexts",
            "`journalctl context use NAME` sets it.",
        )
    return ContextFile(path, contexts, current)


def check_setting(what: str, key: str, value: object) -> None:
    """Refuse what is no setting of a context.

    Raises:
        CommandError: The key is unknown, or its value is of the wrong kind.
    """
    if key not in SETTINGS:
        near = get_close_matches(key, SETTINGS, 1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(SETTINGS)}."
        raise usage(what, f"unknown key {key}", hint)
    if key == "protected":
        if not isinstance(value, bool):
            raise usage(what, f"{key} is {value!r}", "It is true or false.")
    elif isinstance(value, bool) or not isinstance(value, str | int):
        raise usage(what, f"{key} is {value!r}", 'It is text, such as "http://localhost:8080".')


def read_gazctl_ini(env: Mapping[str, str] = os.environ) -> dict[str, Found]:
    """Return what the file of gazctl says of brokers: the first there is, and only that one.

    Raises:
        CommandError: It cannot be parsed.
    """
    home = Path(env.get("HOME", "~")).expanduser()
    for path in (Path("gazctl.ini"), home / ".config" / "gazette" / "gazctl.ini"):
        if path.is_file():
            return _parse_ini(path)
    return {}


def _parse_ini(path: Path) -> dict[str, Found]:
    from configparser import Error as IniError
    from configparser import RawConfigParser

    parser = RawConfigParser(
        strict=False, delimiters=("=",), comment_prefixes=(";", "#"), allow_no_value=True
    )
    try:
        parser.read_string(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError, IniError) as exc:
        raise usage(f"file {path}", f"it cannot be read: {exc}") from exc
    sections = {name.lower(): parser[name] for name in parser.sections()}
    found = {}
    for setting, (section, field_name) in _INI_NAMES.items():
        for key, value in sections.get(section, {}).items():
            # As the option's field is called, or the option: `CertFile`, `broker.cert-file`.
            if key.rpartition(".")[2].replace("-", "") == field_name and value:
                found[setting] = Found(value.strip('"'), str(path))
    return found


def settings_of(ctx: click.Context) -> Settings:
    """Return the settings of this call of the program; files are read once."""
    if _SETTINGS_KEY not in ctx.meta:
        ctx.meta[_SETTINGS_KEY] = _load(
            ctx.meta.get(_CONFIG_KEY), ctx.meta.get(_CONTEXT_KEY) or os.environ.get(CONTEXT_ENV)
        )
    settings: Settings = ctx.meta[_SETTINGS_KEY]
    return settings


def _load(config: str | None, context: str | None) -> Settings:
    contexts = load_contexts(Path(config) if config else config_path())
    values = read_gazctl_ini()
    name = context or contexts.current
    if not name:
        return Settings(values=values)
    chosen = contexts.get(name)
    source = f"context {name} of {contexts.path}"
    values |= {key: Found(str(value), source) for key, value in chosen.items()}
    return Settings(context=name, is_protected=bool(chosen.get("protected")), values=values)


def contexts_of(ctx: click.Context) -> ContextFile:
    """Return the file of contexts which this call of the program is about."""
    config = ctx.meta.get(_CONFIG_KEY)
    return load_contexts(Path(config) if config else config_path())


class _Defaults(Mapping[str, str]):
    """Values of options, by the name of their parameter. Files are read once one is asked for."""

    def __init__(self, ctx: click.Context) -> None:
        self._ctx = ctx

    def __getitem__(self, parameter: str) -> str:
        # `--context` itself is asked for, too, and then the files are not known yet.
        setting = _SETTING_OF[parameter]
        return settings_of(self._ctx).values[setting].value

    def __iter__(self) -> Iterator[str]:
        return (name for name in _SETTING_OF if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def source_of(ctx: click.Context, parameter: str) -> str:
    """Return where the value of an option of the connection is from: "" is its default."""
    match ctx.get_parameter_source(parameter):
        case ParameterSource.COMMANDLINE:
            return "flag"
        case ParameterSource.ENVIRONMENT:
            option = next(each for each in ctx.command.params if each.name == parameter)
            names = [option.envvar] if isinstance(option.envvar, str) else option.envvar or ()
            return next(f"${name}" for name in names if os.environ.get(name))
        case ParameterSource.DEFAULT_MAP:
            return settings_of(ctx).values[_SETTING_OF[parameter]].source
        case _:
            return ""


def complete_contexts(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return names of contexts which begin so, for shells to complete."""
    try:
        names = contexts_of(ctx).contexts
    except CommandError:  # Nobody could be told.
        return []
    return [name for name in names if name.startswith(incomplete)]


def _remember(key: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    def callback(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
        if value:
            ctx.meta[key] = value
        ctx.default_map = cast("MutableMapping[str, Any]", _Defaults(ctx))

    return callback


def context_options(command: _F) -> _F:
    """Give a command, or the group of all, `--context` and `--config`."""
    for name, key, metavar, text, complete in (
        ("--config", _CONFIG_KEY, "FILE", f"File of contexts. [${CONFIG_ENV}]", None),
        (
            *("--context", _CONTEXT_KEY, "NAME"),
            *(f"Context to take settings of. [${CONTEXT_ENV}]", complete_contexts),
        ),
    ):
        command = click.option(
            name,
            metavar=metavar,
            is_eager=True,  # Other options take their values by it.
            expose_value=False,
            callback=_remember(key),
            shell_complete=complete,
            help=text,
        )(command)
    return command
