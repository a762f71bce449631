r"""Path postfix templates: the part of Go's text/template which names of partitions need.

    date={{ .Spool.FirstAppendTime.Format "2006-01-02" }}/hour={{ .Spool.FirstAppendTime.Format
    "15" }}

The syntax is that of `template_syntax`; fields, methods and functions are those of the tables
below. Everything else is refused when a spec is applied, and so is a template whose result would
be no clean path: files under it could never be listed.

Invariants:
    P1  A template which `validate_template` accepts, Go accepts too, and both evaluate it to the
        same path. Where Go prints a complaint into its result (`%!d(string=x)`), we fail.
    P2  Time and memory of an evaluation are bounded, though templates come from requests.

Units: times are Unix nanoseconds.
Source: gazette/core broker/protocol/journal_spec_extensions.go and broker/fragment/stores.go.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NoReturn, assert_never

from gazette_py.errors import ValidationError
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.fragment import Fragment
from gazette_py.protocol.go_time import GoTime, NamedNumber
from gazette_py.protocol.journal import JournalSpec
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.template_syntax import (
    Branch,
    Command,
    Fields,
    Function,
    Group,
    Literal,
    Node,
    Operand,
    Pipeline,
    Print,
    Text,
    parse_template,
)
from gazette_py.protocol.text import escapes_root, validate_path_component

_POSTFIX_BYTES_MAX: Final = 512
_PRINTF_CHARS_MAX: Final = 4096  # `with printf "%s%s" . .` doubles at every level (P2).
_SAMPLE_JOURNAL: Final = "an/example"
_SAMPLE_TIMES_NS: Final = (0, 1_700_000_000_123_456_789, 1_735_689_599_999_999_999)


@dataclass(frozen=True, slots=True)
class SpoolView:
    """What a template sees of a closed fragment."""

    fragment: Fragment
    registers: LabelSet
    first_append_time_ns: int | None  # Unix nanoseconds; None: Go's zero time.


class PathTemplate:
    """A parsed template."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes

    @staticmethod
    @lru_cache(maxsize=256)
    def parse(text: str) -> "PathTemplate":
        """Parse a template.

        Raises:
            ValidationError: It is none, or beyond what we evaluate.
        """
        return PathTemplate(parse_template(text, _FUNCTIONS.keys() | _LAZY_FUNCTIONS.keys()))

    def evaluate(self, spool: SpoolView, spec: JournalSpec) -> str:
        """Return the path postfix of a fragment.

        Raises:
            ValidationError: The template fails on these values, or its result is no clean path.
        """
        result = self.render(spool, spec)
        validate_path_component(result, "", 0, _POSTFIX_BYTES_MAX)
        if escapes_root(result):
            raise ValidationError("", f"leads out of the journal's directory ({result})")
        return result

    def render(self, spool: SpoolView, spec: JournalSpec) -> str:
        """Return the result, which may be no clean path.

        Raises:
            ValidationError: The template fails on these values.
        """
        spec_fields = _journal_spec(spec)
        # What the spec embeds Go finds at the top too. `.Fragment` would be ambiguous.
        promoted = {name: spec_fields[name] for name in ("Name", "Replication", "LabelSet")}
        root = {"Spool": _spool(spool), "JournalSpec": spec_fields, **promoted}
        return "".join(_run(self._nodes, root))


def validate_template(text: str, path: str, spec: JournalSpec = JournalSpec()) -> None:
    """Refuse a template which does not parse, or fails on zero values or an example.

    Args:
        text: The template.
        path: Where it was found, for the error.
        spec: The spec which it is of, whose labels it may use.

    Raises:
        ValidationError: With `path`.
    """
    try:
        template = PathTemplate.parse(text)
        # As the reference does, which does not look at the result. A zero codec is INVALID.
        zero = Fragment(compression_codec=CompressionCodec.INVALID)
        template.render(SpoolView(zero, LabelSet(), None), JournalSpec())
        for first_append_time_ns in (None, *_SAMPLE_TIMES_NS):
            view = SpoolView(Fragment(journal=_SAMPLE_JOURNAL), LabelSet(), first_append_time_ns)
            template.evaluate(view, spec)
    except ValidationError as exc:
        raise ValidationError(path, exc.reason) from exc


# Values: texts, numbers, booleans and structs, which are dictionaries of fields and methods.


class _JournalName(str):
    """A text of a type of its own, which Go does not pass where a plain text is asked for."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Method:
    """A method of a struct, which takes `arity` texts."""

    call: Callable[..., Any]
    arity: int


_PRINTED: Final = ""  # Key of the text which a struct prints, if it can be printed.


def _spool(view: SpoolView) -> dict[str, Any]:
    fragment, time_ns = view.fragment, view.first_append_time_ns
    codecs = tuple(codec.name for codec in CompressionCodec)
    fields: dict[str, Any] = {
        "Journal": _JournalName(fragment.journal),
        "Begin": fragment.begin,
        "End": fragment.end,
        "CompressionCodec": NamedNumber(fragment.compression_codec.value, codecs, 0),
    }
    return {
        **fields,
        "Fragment": fields,
        "Registers": _labels(view.registers),
        "FirstAppendTime": _time(GoTime.zero() if time_ns is None else GoTime(time_ns)),
    }


def _journal_spec(spec: JournalSpec) -> dict[str, Any]:
    return {
        "Name": _JournalName(spec.name),
        "Replication": spec.replication,
        "LabelSet": _labels(spec.labels),
        "Fragment": {"Length": spec.fragment.length},
    }


def _labels(labels: LabelSet) -> dict[str, Any]:
    return {"ValueOf": _Method(labels.value_of, 1)}


def _time(time: GoTime) -> dict[str, Any]:
    year, _, day = time.date
    hour, minute, second = time.clock
    plain: dict[str, Any] = {
        "Unix": time.unix,
        "UnixMilli": time.unix_ns // 1_000_000,
        # Years before 1678 do not fit Go's number, which wraps: the zero time is one of them.
        "UnixNano": (time.unix_ns + (1 << 63)) % (1 << 64) - (1 << 63),
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
    return {
        **{name: _Method(lambda value=value: value, 0) for name, value in plain.items()},
        "Format": _Method(time.format, 1),
        "UTC": _Method(lambda: _time(time), 0),
        _PRINTED: str(time),
    }


def _text(value: Any) -> str:
    """Return what Go prints."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        if _PRINTED not in value:
            _fail("only a field or method of it can be printed, not the whole value")
        return str(value[_PRINTED])
    return str(value)


def _kind(value: Any) -> type | None:
    """Return the basic kind, by which Go tells what compares; None of a struct."""
    return next((kind for kind in (bool, int, str) if isinstance(value, kind)), None)


_KIND_NAMES: Final[dict[type | None, str]] = {
    bool: "boolean",
    int: "number",
    str: "text",
    None: "struct",
}


def _fail(reason: str) -> NoReturn:
    raise ValidationError("", reason)


# Functions.


def _len(text: Any) -> int:
    if not isinstance(text, str):
        _fail("len works on a text only")
    return len(text.encode())


def _index(text: Any, position: Any) -> int:
    if not isinstance(text, str) or _kind(position) is not int:
        _fail("index works on a text and a number only")
    content = text.encode()
    if not 0 <= position < len(content):
        _fail(f"index {position} is out of range of {text!r}")
    return int(content[position])


# Longer widths are of no use in a path, and their padding would cost memory (P2).
_VERB: Final = re.compile(
    r"%(?P<flags>[-+0 ]*)(?P<width>[0-9]{0,3})(?P<precision>\.[0-9]{1,3})?(?P<verb>.?)", re.DOTALL
)


# What Go quotes as it is.
_PLAIN_TEXT: Final = re.compile(r"[ !#-\[\]-~]*")


def _printf(layout: Any, *values: Any) -> str:
    if type(layout) is not str:
        _fail("printf needs a text as its layout")
    rest = list(values)

    def one(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if not rest:
            _fail(f"printf {layout!r} has too few arguments")
        return _formatted(match, rest.pop(0))

    result = _VERB.sub(one, layout)
    if rest:
        _fail(f"printf {layout!r} has too many arguments")
    if len(result) > _PRINTF_CHARS_MAX:
        _fail(f"printf {layout!r} returns more than {_PRINTF_CHARS_MAX} characters")
    return result


def _formatted(match: re.Match[str], value: Any) -> str:
    """Return a value by its verb. Combinations where Go and C differ are refused (P1)."""
    flags, width, precision, verb = match.group("flags", "width", "precision", "verb")
    is_number, is_named = _kind(value) is int, isinstance(value, NamedNumber)
    # Go would print the name of a named number in hexadecimal.
    if precision is None and is_number and (verb == "d" or (verb in ("x", "X") and not is_named)):
        return f"%{flags}{width}{verb}" % int(value)
    if verb in ("d", "x", "X") and not is_number:
        _fail(f"printf {match[0]} needs a number")
    if match[0] == "%q" and _PLAIN_TEXT.fullmatch(_text(value)) and _kind(value) is str:
        return f'"{value}"'
    is_text = _kind(value) is str or is_named or isinstance(value, dict)
    if flags.strip("-") == "" and ((verb == "s" and is_text) or (verb == "v" and not precision)):
        return f"%{flags}{width}{precision or ''}s" % _text(value)
    _fail(f"printf {match[0]} is not supported for {_text(value)!r}")


def _compare(
    name: str, kinds: tuple[type, ...], test: Callable[[Any, Any], bool]
) -> Callable[[Any, Any], bool]:
    def call(left: Any, right: Any) -> bool:
        if _kind(left) is not _kind(right) or _kind(left) not in kinds:
            _fail(f"{name} of a {_KIND_NAMES[_kind(left)]} and a {_KIND_NAMES[_kind(right)]}")
        return test(left, right)

    return call


_FUNCTIONS: Final[dict[str, tuple[Callable[..., Any], int, int]]] = {
    # Name: function, least and greatest number of arguments.
    "printf": (_printf, 1, 99),
    "len": (_len, 1, 1),
    "index": (_index, 2, 2),
    "eq": (_compare("eq", (bool, int, str), lambda a, b: a == b), 2, 2),
    "ne": (_compare("ne", (bool, int, str), lambda a, b: a != b), 2, 2),
    "lt": (_compare("lt", (int, str), lambda a, b: a < b), 2, 2),
    "le": (_compare("le", (int, str), lambda a, b: a <= b), 2, 2),
    "gt": (_compare("gt", (int, str), lambda a, b: a > b), 2, 2),
    "ge": (_compare("ge", (int, str), lambda a, b: a >= b), 2, 2),
    "not": (lambda value: not value, 1, 1),
}
# These return the first argument of this truth, else the last, and evaluate no further.
_LAZY_FUNCTIONS: Final = {"and": False, "or": True}


# Evaluation.


def _run(nodes: Sequence[Node], dot: Any) -> Iterator[str]:
    for node in nodes:
        match node:
            case Text(text):
                yield text
            case Print(pipeline):
                yield _text(_evaluate(pipeline, dot))
            case Branch(pipeline, then, otherwise, moves_dot):
                value = _evaluate(pipeline, dot)
                if value:
                    yield from _run(then, value if moves_dot else dot)
                else:
                    yield from _run(otherwise, dot)
            case _:
                assert_never(node)


def _evaluate(pipeline: Pipeline, dot: Any) -> Any:
    value = _call(pipeline[0], dot, ())
    for command in pipeline[1:]:
        value = _call(command, dot, (value,))
    return value


def _call(command: Command, dot: Any, piped: tuple[Any, ...]) -> Any:
    head, *rest = command
    arguments = chain((_argument(operand, dot) for operand in rest), piped)
    match head:
        case Function(name):
            return _call_function(name, arguments, len(rest) + len(piped))
        case Fields(names):
            return _walk(names, dot, tuple(arguments))
        case _:
            return _argument(head, dot)  # The parser has seen to it that there are no arguments.


def _call_function(name: str, arguments: Iterable[Any], count: int) -> Any:
    function, least, most = _FUNCTIONS.get(name, (None, 1, 99))
    if not least <= count <= most:
        _fail(f"{name} takes other than {count} arguments")
    if function is not None:
        return function(*arguments)
    value = None
    for value in arguments:
        if bool(value) is _LAZY_FUNCTIONS[name]:
            break
    return value


def _argument(operand: Operand, dot: Any) -> Any:
    match operand:
        case Literal(value):
            return value
        case Fields(names):
            return _walk(names, dot, ())
        case Group(pipeline):
            return _evaluate(pipeline, dot)
        case Function():
            return _call((operand,), dot, ())
        case _:
            assert_never(operand)


def _walk(names: tuple[str, ...], dot: Any, arguments: tuple[Any, ...]) -> Any:
    """Follow fields and methods; the last one takes the arguments."""
    value = dot
    for position, name in enumerate(names):
        if not isinstance(value, dict) or name not in value:
            _fail(f".{'.'.join(names[: position + 1])} does not exist")
        value = value[name]
        given = arguments if position == len(names) - 1 else ()
        if isinstance(value, _Method):
            if len(given) != value.arity or not all(type(text) is str for text in given):
                _fail(f".{'.'.join(names)} takes {value.arity} texts as arguments")
            value = value.call(*given)
        elif given:
            _fail(f".{'.'.join(names)} takes no arguments")
    return value
