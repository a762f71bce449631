r"""Path postfix templates: the part of Go's text/template which names of partitions need.

    date={{ .Spool.FirstAppendTime.Format "2006-01-02" }}/hour={{ .Spool.FirstAppendTime.Format
    "15" }}

Text, actions with trim markers, comments, fields and methods of the table below, literals,
pipelines, `if`, `with`, and the functions of `_FUNCTIONS`. Everything else is refused when a spec
is applied, and so is a template whose result would be no clean path: files under it could never be
listed.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NoReturn

from gazette_py.errors import ValidationError
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.go_time import GoTime
from gazette_py.protocol.journal import FragmentSpec, JournalSpec
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.text import validate_path_component

_POSTFIX_BYTES_MAX: Final = 512
_SAMPLE_TIMES_NS: Final = (0, 1_700_000_000_123_456_789, 1_735_689_599_999_999_999)


@dataclass(frozen=True, slots=True)
class SpoolView:
    """What a template sees of a closed fragment."""

    fragment: Fragment
    registers: LabelSet
    first_append_time_ns: int | None  # Unix nanoseconds; None: Go's zero time.


class PathTemplate:
    """A parsed template."""

    def __init__(self, nodes: "Sequence[_Node]") -> None:
        self._nodes = nodes

    @staticmethod
    @lru_cache(maxsize=256)
    def parse(text: str) -> "PathTemplate":
        """Parse a template.

        Raises:
            ValidationError: It is none, or beyond what we evaluate.
        """
        nodes, rest = _Parser(_actions(text)).block()
        if rest is not None:
            raise ValidationError("", f"unexpected {{{{{rest}}}}}")
        return PathTemplate(nodes)

    def evaluate(self, spool: SpoolView, spec: JournalSpec) -> str:
        """Return the path postfix of a fragment.

        Raises:
            ValidationError: The template fails on these values, or its result is no clean path.
        """
        root = {"Spool": _spool(spool), "JournalSpec": _journal_spec(spec)}
        result = "".join(_run(self._nodes, root))
        validate_path_component(result, "", 0, _POSTFIX_BYTES_MAX)
        return result


def validate_template(text: str, path: str) -> None:
    """Refuse a template which does not parse, or fails on an example.

    Raises:
        ValidationError: With `path`.
    """
    try:
        template = PathTemplate.parse(text)
        for first_append_time_ns in (None, *_SAMPLE_TIMES_NS):
            view = SpoolView(Fragment(journal="an/example"), LabelSet(), first_append_time_ns)
            template.evaluate(view, JournalSpec(name="an/example", fragment=FragmentSpec()))
    except ValidationError as exc:
        raise ValidationError(path, exc.reason) from exc


# Values.


def _spool(view: SpoolView) -> dict[str, Any]:
    fragment = view.fragment
    fields: dict[str, Any] = {
        "Journal": fragment.journal,
        "Begin": fragment.begin,
        "End": fragment.end,
        "CompressionCodec": fragment.compression_codec.name,
    }
    time_ns = view.first_append_time_ns
    return {
        **fields,
        "Fragment": fields,
        "Registers": _labels(view.registers),
        "FirstAppendTime": _time(GoTime.zero() if time_ns is None else GoTime(time_ns)),
    }


def _journal_spec(spec: JournalSpec) -> dict[str, Any]:
    return {
        "Name": spec.name,
        "Replication": spec.replication,
        "LabelSet": _labels(spec.labels),
        "Fragment": {"Length": spec.fragment.length},
    }


@dataclass(frozen=True, slots=True)
class _Method:
    """A method of a value; `arity` is how many arguments it takes."""

    call: Callable[..., Any]
    arity: int


def _labels(labels: LabelSet) -> dict[str, Any]:
    return {"ValueOf": _Method(labels.value_of, 1)}


def _time(time: GoTime) -> dict[str, Any]:
    year, _, day = time.date
    hour, minute, second = time.clock
    plain: dict[str, Any] = {
        "Unix": time.unix,
        "UnixMilli": time.unix_ns // 1_000_000,
        "UnixNano": time.unix_ns,
        "Year": year,
        "Month": time.month,
        "Day": day,
        "Hour": hour,
        "Minute": minute,
        "Second": second,
        "Nanosecond": time.nanosecond,
        "YearDay": time.year_day,
        "Weekday": time.weekday,
    }
    methods = {name: _Method(lambda v=value: v, 0) for name, value in plain.items()}
    methods["Format"] = _Method(time.format, 1)
    methods["UTC"] = _Method(lambda: _time(time), 0)
    return {**methods, "": str(time)}


def _text(value: Any) -> str:
    """Return what Go prints."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        if "" not in value:
            _fail("only a field or method of it can be printed, not the whole value")
        return str(value[""])
    return str(value)


def _fail(reason: str) -> NoReturn:
    raise ValidationError("", reason)


# Functions.


def _index(text: Any, position: Any) -> int:
    if not isinstance(text, str) or not isinstance(position, int):
        _fail("index works on a text and a number only")
    content = text.encode()
    if not 0 <= position < len(content):
        _fail(f"index {position} is out of range of {text!r}")
    return content[position]


_FORMAT: Final = re.compile(
    r"%(?P<flags>[-+0 ]*)(?P<width>\d*)(?:\.(?P<precision>\d+))?(?P<verb>.)"
)


def _printf(layout: Any, *values: Any) -> str:
    rest = list(values)

    def one(match: re.Match[str]) -> str:
        verb = match["verb"]
        if verb == "%":
            return "%"
        if not rest:
            _fail(f"printf {layout!r} has too few arguments")
        return _verb(match, rest.pop(0))

    result = _FORMAT.sub(one, str(layout))
    if rest:
        _fail(f"printf {layout!r} has too many arguments")
    return result


def _verb(match: re.Match[str], value: Any) -> str:
    flags, width, verb = match["flags"], match["width"], match["verb"]
    if verb in "dxX":
        if not isinstance(value, int) or isinstance(value, bool):
            _fail(f"printf %{verb} needs a number")
        return ("%" + flags + width + verb) % int(value)
    if verb in "sv":
        text = _text(value)
        if match["precision"]:
            text = text[: int(match["precision"])]
        return ("%" + flags.replace("0", "") + width + "s") % text
    if verb == "q":
        return '"' + _text(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    _fail(f"printf %{verb} is not supported: use %d, %x, %s, %v or %q")


def _compare(name: str, test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def call(left: Any, right: Any) -> bool:
        if isinstance(left, str) is not isinstance(right, str):
            _fail(f"{name} of a text and a number")
        return test(left, right)

    return call


def _and(*values: Any) -> Any:
    return next((value for value in values if not value), values[-1])


def _or(*values: Any) -> Any:
    return next((value for value in values if value), values[-1])


_FUNCTIONS: Final[dict[str, tuple[Callable[..., Any], int, int]]] = {
    # Name: function, least and greatest number of arguments.
    "printf": (_printf, 1, 99),
    "len": (lambda text: len(str(text).encode()), 1, 1),
    "index": (_index, 2, 2),
    "eq": (_compare("eq", lambda a, b: a == b), 2, 2),
    "ne": (_compare("ne", lambda a, b: a != b), 2, 2),
    "lt": (_compare("lt", lambda a, b: a < b), 2, 2),
    "le": (_compare("le", lambda a, b: a <= b), 2, 2),
    "gt": (_compare("gt", lambda a, b: a > b), 2, 2),
    "ge": (_compare("ge", lambda a, b: a >= b), 2, 2),
    "and": (_and, 1, 99),
    "or": (_or, 1, 99),
    "not": (lambda value: not value, 1, 1),
}


# Parsing: text into pieces, actions into tokens, tokens into nodes.


@dataclass(frozen=True, slots=True)
class _Word:
    """A field chain, function or literal."""

    names: tuple[str, ...] = ()  # Of a chain; none: the dot itself.
    function: str = ""
    literal: Any = None
    is_chain: bool = False
    group: "_Pipeline | None" = None  # In parentheses.


_Command = tuple[_Word, ...]
_Pipeline = tuple[_Command, ...]


@dataclass(frozen=True, slots=True)
class _Text:
    text: str


@dataclass(frozen=True, slots=True)
class _Print:
    pipeline: _Pipeline


@dataclass(frozen=True, slots=True)
class _Branch:
    """`if`, or `with`, which also moves the dot."""

    pipeline: _Pipeline
    then: "Sequence[_Node]"
    otherwise: "Sequence[_Node]"
    moves_dot: bool


_Node = _Text | _Print | _Branch

_ACTION: Final = re.compile(
    r"\{\{(-\s)?((?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|/\*.*?\*/|.)*?)(\s-)?\}\}", re.S
)
_TOKENS: Final = re.compile(
    r"\s*(?:(?P<string>\"(?:\\.|[^\"\\])*\")|(?P<raw>`[^`]*`)|(?P<number>[+-]?\d+\b)"
    r"|(?P<chain>\.[A-Za-z_][\w.]*|\.)|(?P<word>[A-Za-z_]\w*)|(?P<mark>[()|]))",
)


def _actions(text: str) -> Iterator[tuple[str, str]]:
    """Yield ("text", literal text) and ("action", content)."""
    position, trims = 0, False
    for match in _ACTION.finditer(text):
        literal = text[position : match.start()]
        literal = literal.lstrip() if trims else literal
        literal = literal.rstrip() if match[1] else literal
        if "{{" in literal:
            _fail("an action {{ is not closed")
        yield "text", literal
        content = match[2].strip()
        if not content.startswith("/*"):
            yield "action", content
        position, trims = match.end(), bool(match[3])
    literal = text[position:]
    if "{{" in literal:
        _fail("an action {{ is not closed")
    yield "text", literal.lstrip() if trims else literal


class _Parser:
    def __init__(self, pieces: Iterator[tuple[str, str]]) -> None:
        self._pieces = pieces

    def block(self) -> tuple[list[_Node], str | None]:
        """Return nodes up to an `else` or `end`, and that; None at the end of the template."""
        nodes: list[_Node] = []
        for kind, content in self._pieces:
            if kind == "text":
                if content:
                    nodes.append(_Text(content))
                continue
            keyword, _, rest = content.partition(" ")
            if keyword in ("else", "end"):
                return nodes, content
            if keyword in ("if", "with"):
                nodes.append(self._branch(keyword, rest))
            else:
                nodes.append(_Print(_pipeline(content)))
        return nodes, None

    def _branch(self, keyword: str, condition: str) -> _Branch:
        then, ended_by = self.block()
        otherwise: list[_Node] = []
        if ended_by is not None and ended_by.startswith("else"):
            rest = ended_by.removeprefix("else").strip()
            if rest.startswith(("if ", "with ")):
                inner, _, inner_condition = rest.partition(" ")
                otherwise, ended_by = [self._branch(inner, inner_condition)], "end"
            elif rest:
                _fail(f"unexpected {{{{{ended_by}}}}}")
            else:
                otherwise, ended_by = self.block()
        if ended_by != "end":
            _fail(f"{{{{{keyword}}}}} has no {{{{end}}}}")
        return _Branch(_pipeline(condition), then, otherwise, keyword == "with")


def _pipeline(text: str) -> _Pipeline:
    pipeline, rest = _parse_pipeline(_tokenize(text), text)
    if rest:
        _fail(f"unexpected {rest[0][1]} in {{{{{text}}}}}")
    return pipeline


def _tokenize(text: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    stripped = text.rstrip()
    while position < len(stripped):
        match = _TOKENS.match(stripped, position)
        if match is None:
            _fail(f"cannot read {stripped[position:]!r} in {{{{{text}}}}}")
        kind = match.lastgroup
        assert kind is not None
        tokens.append((kind, match[kind]))
        position = match.end()
    return tokens


def _parse_pipeline(
    tokens: list[tuple[str, str]], text: str
) -> tuple[_Pipeline, list[tuple[str, str]]]:
    commands: list[_Command] = []
    words: list[_Word] = []
    while tokens:
        kind, value = tokens[0]
        if kind == "mark" and value == ")":
            break
        tokens = tokens[1:]
        if kind == "mark" and value == "|":
            commands.append(_command(words, text))
            words = []
        elif kind == "mark":
            group, tokens = _parse_pipeline(tokens, text)
            if not tokens:
                _fail(f"( is not closed in {{{{{text}}}}}")
            tokens = tokens[1:]
            words.append(_Word(group=group))
        else:
            words.append(_word(kind, value))
    commands.append(_command(words, text))
    return tuple(commands), tokens


def _command(words: list[_Word], text: str) -> _Command:
    if not words:
        _fail(f"{{{{{text}}}}} lacks a value")
    return tuple(words)


def _word(kind: str, value: str) -> _Word:
    if kind == "string":
        return _Word(literal=_unquote(value[1:-1]))
    if kind == "raw":
        return _Word(literal=value[1:-1])
    if kind == "number":
        return _Word(literal=int(value))
    if kind == "chain":
        names = tuple(value.split(".")[1:]) if value != "." else ()
        if not all(names):
            _fail(f"{value} is no field")
        return _Word(names=names, is_chain=True)
    if value in ("true", "false"):
        return _Word(literal=value == "true")
    if value not in _FUNCTIONS:
        _fail(f"{value} is not supported: there are {', '.join(sorted(_FUNCTIONS))}, if and with")
    return _Word(function=value)


_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "'": "'"}


def _unquote(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            _fail(f"\\{match[1]} is no escape that is supported")
        return _ESCAPES[match[1]]

    return re.sub(r"\\(.)", one, text)


# Evaluation.


def _run(nodes: "Sequence[_Node]", dot: Any) -> Iterator[str]:
    for node in nodes:
        match node:
            case _Text(text):
                yield text
            case _Print(pipeline):
                yield _text(_evaluate(pipeline, dot))
            case _Branch(pipeline, then, otherwise, moves_dot):
                value = _evaluate(pipeline, dot)
                if value:
                    yield from _run(then, value if moves_dot else dot)
                else:
                    yield from _run(otherwise, dot)


def _evaluate(pipeline: _Pipeline, dot: Any) -> Any:
    value: Any = None
    for position, command in enumerate(pipeline):
        piped = () if position == 0 else (value,)
        value = _call(command, dot, piped)
    return value


def _call(command: _Command, dot: Any, piped: tuple[Any, ...]) -> Any:
    head, *rest = command
    arguments = [_argument(word, dot) for word in rest] + list(piped)
    if head.function:
        function, least, most = _FUNCTIONS[head.function]
        if not least <= len(arguments) <= most:
            _fail(f"{head.function} takes other than {len(arguments)} arguments")
        return function(*arguments)
    if head.is_chain:
        return _walk(head.names, dot, arguments)
    if arguments:
        _fail("a literal takes no arguments")
    return _argument(head, dot)


def _argument(word: _Word, dot: Any) -> Any:
    if word.group is not None:
        return _evaluate(word.group, dot)
    if word.is_chain:
        return _walk(word.names, dot, [])
    if word.function:
        return _call((word,), dot, ())
    return word.literal


def _walk(names: tuple[str, ...], dot: Any, arguments: list[Any]) -> Any:
    value = dot
    for position, name in enumerate(names):
        if not isinstance(value, dict) or name not in value:
            _fail(f".{'.'.join(names[: position + 1])} does not exist")
        value = value[name]
        if isinstance(value, _Method):
            given = arguments if position == len(names) - 1 else []
            if len(given) != value.arity or not all(isinstance(v, str) for v in given):
                _fail(f".{'.'.join(names)} takes {value.arity} texts as arguments")
            value, arguments = value.call(*given), []
    if arguments:
        _fail(f".{'.'.join(names)} takes no arguments")
    return value
