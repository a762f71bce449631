r"""Syntax of path templates: from text to nodes. `path_template` says what the nodes mean.

    template  = { TEXT | comment | "{{" pipeline "}}" | branch }
    branch    = "{{" ("if" | "with") pipeline "}}" template
                { "{{" "else" "if" pipeline "}}" template }     only of `if`
                [ "{{" "else" "}}" template ] "{{" "end" "}}"
    pipeline  = command { "|" command }
    command   = operand { operand }
    operand   = STRING | INTEGER | "true" | "false" | "." | FIELDS | FUNCTION | "(" pipeline ")"

Delimiters may be trim markers, `{{- ` and ` -}}`, which drop the white space outside.

Invariants:
    T1  What is accepted here, Go accepts and reads in the same way. Brokers of both kinds share
        the specs, so a doubtful spelling (`010`, `.5`, `"\x41"`, `a"b"`) is refused.
    T2  Time and memory are linear in the text, and nesting is bounded: texts come from requests.

Source: the documented syntax of Go's package text/template.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from gazette_py.errors import ValidationError

_DEPTH_MAX: Final = 32  # Of branches and parentheses. Real templates have one or two.
_INT64_MAX: Final = (1 << 63) - 1
_SPACE: Final = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant."""

    value: str | int | bool


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields and methods from the dot on; no names: the dot itself."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Group:
    """A pipeline in parentheses."""

    pipeline: "Pipeline"


Operand = Literal | Fields | Function | Group
Command = tuple[Operand, ...]  # What is called, and its arguments.
Pipeline = tuple[Command, ...]  # Each command's value is the last argument of the next.


@dataclass(frozen=True, slots=True)
class Text:
    """Text which stands for itself."""

    text: str


@dataclass(frozen=True, slots=True)
class Print:
    """An action whose value is printed."""

    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Branch:
    """`if`, or `with`, which also moves the dot."""

    pipeline: Pipeline
    then: "Sequence[Node]"
    otherwise: "Sequence[Node]"
    moves_dot: bool


Node = Text | Print | Branch


def parse_template(text: str, functions: Collection[str]) -> Sequence[Node]:
    """Return the nodes of a template which may call `functions`.

    Raises:
        ValidationError: It is none, or beyond the subset.
    """
    return _Parser(_pieces(text), functions).template()


# Text into pieces, and the actions among them into tokens.


@dataclass(frozen=True, slots=True)
class _Action:
    tokens: "Sequence[_Token]"
    source: str  # For messages.

    @property
    def keyword(self) -> str:
        """The word which it begins with, if any."""
        return self.tokens[0].text if self.tokens and self.tokens[0].kind == "word" else ""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


_OPEN: Final = re.compile(r"\{\{(?P<trim>-[ \t\r\n])?")
_CLOSE: Final = re.compile(r"(?P<trim>[ \t\r\n]-)?\}\}")
_TOKEN: Final = re.compile(
    r"(?P<space>(?:(?![ \t\r\n]-\}\})[ \t\r\n])+)"
    r'|(?P<string>"(?:\\[^\n]|[^"\\\n])*")'
    r"|(?P<raw>`[^`\r]*`)"
    r"|(?P<integer>[+-]?(?:0|[1-9][0-9]{0,18}))"
    r"|(?P<fields>\.[A-Za-z0-9_.]*)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<mark>[()|])"
)


def _pieces(text: str) -> list[Text | _Action]:
    pieces: list[Text | _Action] = []
    position, trims_start = 0, False
    while (opened := _OPEN.search(text, position)) is not None:
        pieces.append(_trimmed(text[position : opened.start()], trims_start, bool(opened["trim"])))
        if text.startswith("/*", opened.end()):
            closed = _comment_end(text, opened.end())
        else:
            tokens, closed = _tokens(text, opened.end())
            content = text[opened.end() : closed.start()].strip(_SPACE)
            pieces.append(_Action(tokens, f"{{{{{content}}}}}"))
        position, trims_start = closed.end(), bool(closed["trim"])
    pieces.append(_trimmed(text[position:], trims_start, False))
    return pieces


def _trimmed(text: str, trims_start: bool, trims_end: bool) -> Text:
    text = text.lstrip(_SPACE) if trims_start else text
    return Text(text.rstrip(_SPACE) if trims_end else text)


def _comment_end(text: str, position: int) -> re.Match[str]:
    end = text.find("*/", position + 2)
    closed = _CLOSE.match(text, end + 2) if end >= 0 else None
    if closed is None:
        _refuse("a comment does not end with */}}")
    return closed


def _tokens(text: str, position: int) -> tuple[list[_Token], re.Match[str]]:
    """Return the tokens of an action without spaces, and its closing delimiter."""
    tokens: list[_Token] = []
    is_apart = True  # Whether an operand may begin here.
    while (closed := _CLOSE.match(text, position)) is None:
        if position == len(text):
            _refuse("an action {{ is not closed")
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            _refuse(f"cannot read {text[position : position + 20]!r} in an action")
        kind, value = match.lastgroup, match[0]
        is_plain = kind not in ("space", "mark")
        if (is_plain or value == "(") and not is_apart:
            _refuse(f"a space is missing before {value!r}")
        if kind != "space":
            tokens.append(_Token(kind, value))
        is_apart, position = not (is_plain or value == ")"), match.end()
    return tokens, closed


# Pieces into nodes.


class _Parser:
    def __init__(self, pieces: list[Text | _Action], functions: Collection[str]) -> None:
        self._pieces = iter(pieces)
        self._functions = functions
        self._depth = 0

    def template(self) -> Sequence[Node]:
        nodes, ended_by = self._block()
        if ended_by is not None:
            _refuse(f"unexpected {ended_by.source}")
        return nodes

    def _block(self) -> tuple[Sequence[Node], _Action | None]:
        """Return nodes up to an `else` or `end`, and that; None at the end of the template."""
        nodes: list[Node] = []
        for piece in self._pieces:
            if isinstance(piece, Text):
                nodes.append(piece)
            elif piece.keyword in ("else", "end"):
                return nodes, piece
            elif piece.keyword in ("if", "with"):
                nodes.append(self._branch(piece, piece.tokens[1:]))
            else:
                nodes.append(Print(self._pipeline(piece, piece.tokens)))
        return nodes, None

    def _branch(self, opened: _Action, condition: Sequence[_Token]) -> Branch:
        """Return the branch of `opened`, an `if`, a `with`, or an `else if`, up to its end."""
        self._deepen()
        pipeline = self._pipeline(opened, condition)
        then, ended_by = self._block()
        otherwise: Sequence[Node] = ()
        if ended_by is not None and ended_by.keyword == "else":
            rest = ended_by.tokens[1:]
            if rest and rest[0] == _Token("word", "if") and opened.keyword != "with":
                # The chained branch takes the end which the two have in common.
                otherwise, ended_by = [self._branch(ended_by, rest[1:])], None
            elif rest:
                _refuse(f"unexpected {ended_by.source}")
            else:
                otherwise, ended_by = self._block()
                self._require_end(opened, ended_by)
        else:
            self._require_end(opened, ended_by)
        self._depth -= 1
        return Branch(pipeline, then, otherwise, opened.keyword == "with")

    def _require_end(self, opened: _Action, ended_by: _Action | None) -> None:
        if ended_by is None:
            _refuse(f"{opened.source} has no {{{{end}}}}")
        if ended_by.keyword != "end" or len(ended_by.tokens) > 1:
            _refuse(f"unexpected {ended_by.source}")

    def _deepen(self) -> None:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            _refuse(f"nested more than {_DEPTH_MAX} deep")

    def _pipeline(self, action: _Action, tokens: Sequence[_Token]) -> Pipeline:
        pipeline, end = self._commands(action, tokens, 0)
        if end < len(tokens):
            _refuse(f"unexpected ) in {action.source}")
        return pipeline

    def _commands(self, action: _Action, tokens: Sequence[_Token], at: int) -> tuple[Pipeline, int]:
        """Return the commands from a token on, and where they end: at `)` or the last token."""
        commands: list[Command] = []
        operands: list[Operand] = []
        while at < len(tokens) and tokens[at].text != ")":
            token = tokens[at]
            at += 1
            if token.text == "|":
                commands.append(_command(operands, action, is_piped_to=bool(commands)))
                operands = []
            elif token.text == "(":
                self._deepen()
                pipeline, at = self._commands(action, tokens, at)
                if at == len(tokens):
                    _refuse(f"( is not closed in {action.source}")
                self._depth -= 1
                operands.append(Group(pipeline))
                at += 1
            else:
                operands.append(self._operand(token))
        commands.append(_command(operands, action, is_piped_to=bool(commands)))
        return tuple(commands), at

    def _operand(self, token: _Token) -> Operand:
        match token.kind:
            case "string":
                return Literal(_unquote(token.text[1:-1]))
            case "raw":
                return Literal(token.text[1:-1])
            case "integer":
                return Literal(_integer(token.text))
            case "fields":
                return _fields(token.text)
            case _:
                return self._word(token)

    def _word(self, token: _Token) -> Operand:
        if token.text in ("true", "false"):
            return Literal(token.text == "true")
        if token.text not in self._functions:
            known = ", ".join(sorted(self._functions))
            _refuse(f"{token.text} is not supported: there are {known}, if and with")
        return Function(token.text)


def _command(operands: list[Operand], action: _Action, *, is_piped_to: bool) -> Command:
    if not operands:
        _refuse(f"{action.source} lacks a value")
    if is_piped_to or len(operands) > 1:
        match operands[0]:
            case Literal():
                _refuse(f"a literal takes no arguments, in {action.source}")
            case Group() | Fields(()):
                _refuse(f"only fields and functions take arguments, in {action.source}")
            case _:
                pass
    return tuple(operands)


def _fields(text: str) -> Fields:
    names = tuple(text.split(".")[1:]) if text != "." else ()
    if not all(name.isidentifier() for name in names):
        _refuse(f"{text} is no field")
    return Fields(names)


_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


def _unquote(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            _refuse(f"\\{match[1]} is no escape that is supported")
        return _ESCAPES[match[1]]

    return re.sub(r"\\(.)", one, text)


def _integer(digits: str) -> int:
    value = int(digits)
    if not -_INT64_MAX - 1 <= value <= _INT64_MAX:
        _refuse(f"{digits} is beyond 64 bits")
    return value


def _refuse(reason: str) -> NoReturn:
    raise ValidationError("", reason)
