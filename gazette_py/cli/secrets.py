"""Keys and tokens of the connection, and where they are from.

They are taken from the environment or from files. The command line is read by all who list
processes, and kept by shells: what is given there is used, and warned of.
"""

from dataclasses import dataclass
from pathlib import Path

import click

from gazette_py.cli.errors import usage
from gazette_py.cli.settings import source_of


@dataclass(frozen=True, slots=True)
class Secrets:
    """What was given to be let in by: keys or a token, or files of them; "" if not."""

    keys: str
    keys_file: str
    token: str
    token_file: str

    def of_call(self, ctx: click.Context) -> "Secrets":
        """Return those which count: any that was given for this call overrides all of files.

        Raises:
            CommandError: The same was given twice.
        """
        named = {
            "auth_keys": self.keys,
            "auth_keys_file": self.keys_file,
            "auth_token": self.token,
            "auth_token_file": self.token_file,
        }
        sources = {name: source_of(ctx, name) for name, value in named.items() if value}
        given = {name for name, source in sources.items() if source == "flag" or source[0] == "$"}
        for name in ("auth_keys", "auth_token"):
            option = f"--{name.replace('_', '-')}"
            if sources.get(name) == "flag":
                click.echo(
                    f"warning: --broker.{option[2:]} is seen by all who list processes:"
                    f" give {option}-file",
                    err=True,
                )
            if {name, f"{name}_file"} <= given:
                raise usage(f"{option}-file", f"--broker.{option[2:]} was given, too", "Give one.")
        if not given:
            return self
        kept = {name: value if name in given else "" for name, value in named.items()}
        return Secrets(*kept.values())

    def read_keys(self) -> str:
        """Return the keys.

        Raises:
            CommandError: Their file cannot be read.
        """
        return self.keys or _read("--auth-keys-file", self.keys_file)

    def read_token(self) -> str:
        """Return the token.

        Raises:
            CommandError: Its file cannot be read, or is empty.
        """
        return self.token or _read("--auth-token-file", self.token_file)


def _read(option: str, name: str) -> str:
    if not name:
        return ""
    try:
        text = Path(name).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is no text"
        raise usage(f"{option} {name}", f"it cannot be read: {reason}") from exc
    if not text:
        raise usage(f"{option} {name}", "it is empty")
    return text
