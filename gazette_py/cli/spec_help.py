"""What the fields of a journal's YAML mean: `explain` prints it, and a page of docs/ is made of it.

Pure data. That every field which is read has its entry, and every example can be read, is tested.
"""

from collections.abc import Iterator
from dataclasses import dataclass

ROOT = "journal"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldHelp:
    """One field.

    Text has `code` in backticks, and links of Markdown, relative to docs/reference.
    """

    path: str  # Below the root, with dots.
    range: str
    meaning: str
    example: str  # One line of YAML, at the depth of the field.
    more: str = ""  # For who asks for this field alone.

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def parent(self) -> str:
        """The path above it; "" for fields of the journal itself."""
        return self.path.rpartition(".")[0]


FIELDS = (
    FieldHelp(
        path="name",
        range="a clean path of letters, digits and `-_+/.%=`",
        meaning="The journal. With a slash at its end, a directory of journals",
        example="name: acme/orders",
        more="It cannot be changed: a journal of another name is another journal. Fragments are"
        " stored below it, and whoever makes a journal of the same name again finds them.",
    ),
    FieldHelp(
        path="replication",
        range="1 to 5",
        meaning="Replicas. A broker's `--broker.max-replication` is an upper bound for all"
        " journals",
        example="replication: 3",
        more="An append is acknowledged once all replicas have it, so one less than this many"
        " brokers may be lost at once. Brokers are chosen from two zones or more, if there are.",
    ),
    FieldHelp(
        path="labels",
        range="list of `name`, `value`",
        meaning="See [labels](labels.md)",
        example="labels: [{name: env, value: prod}]",
    ),
    FieldHelp(
        path="labels.name",
        range="letters, digits and some symbols",
        meaning="By which selectors choose",
        example="name: env",
    ),
    FieldHelp(
        path="labels.value",
        range="the same, or empty",
        meaning="A name may have several values, each in an entry of its own",
        example="value: prod",
    ),
    FieldHelp(
        path="fragment",
        range="fields below it",
        meaning="How content is cut into files, and where they are stored",
        example="fragment: {length: 67108864}",
    ),
    FieldHelp(
        path="fragment.length",
        range="1024 to 17179869184 bytes",
        meaning="A fragment which is longer is closed before the next append. An append is never"
        " split",
        example="length: 67108864",
        more="Short fragments are stored sooner, and make more files; `fragment.flush_interval`"
        " bounds the time.",
    ),
    FieldHelp(
        path="fragment.compression_codec",
        range="`NONE`, `GZIP`, `ZSTANDARD`, `SNAPPY`, `GZIP_OFFLOAD_DECOMPRESSION`",
        meaning="How files are compressed. The last is not for `file://` stores",
        example="compression_codec: ZSTANDARD",
        more="A change holds for later fragments. With the last, stores decompress for whoever"
        " reads by URL.",
    ),
    FieldHelp(
        path="fragment.stores",
        range="URLs: `s3://bucket/prefix/`, `gs://bucket/prefix/`, `azure://container/prefix/`,"
        " `azure-ad://tenant/account/container/prefix/` or `file:///directory/`",
        meaning="The first is written, all are read. None: nothing is ever stored. Arguments and"
        " credentials: [S3](../how-to/run-against-s3.md),"
        " [Google and Azure](../how-to/run-against-google-cloud-or-azure.md)",
        example="stores: ['s3://bucket/prefix/']",
        more="To move to another store, put it first and keep the old one behind it. `journalctl"
        " store health URL` has a broker check one.",
    ),
    FieldHelp(
        path="fragment.refresh_interval",
        range="1s to 24h",
        meaning="How often each replica lists the stores",
        example="refresh_interval: 5m",
        more="Each listing is a request which stores charge for: J journals of R replicas make"
        " J*R of them in each interval.",
    ),
    FieldHelp(
        path="fragment.retention",
        range="a duration",
        meaning="How old files may become, for"
        " [`journalctl prune`](../how-to/prune-old-fragments.md); none: all is kept. Brokers delete"
        " nothing",
        example="retention: 720h",
    ),
    FieldHelp(
        path="fragment.flush_interval",
        range="0 or at least 1m",
        meaning="A fragment is closed when an interval has passed; 0: only by length",
        example="flush_interval: 10m",
        more="Intervals are counted from 1970 by the primary's clock, so with 10m fragments end at"
        " 10:00, 10:10 and so on: content is in a store soon after.",
    ),
    FieldHelp(
        path="fragment.path_postfix_template",
        range="the part of Go's templates in"
        " [protocol/path_template.py](../../gazette_py/protocol/path_template.py)",
        meaning="Directories between name and files, such as"
        ' `date={{ .Spool.FirstAppendTime.Format "2006-01-02" }}`',
        example="path_postfix_template: 'date={{ .Spool.FirstAppendTime.Format \"2006-01-02\" }}'",
    ),
    FieldHelp(
        path="flags",
        range="`O_RDONLY`, `O_WRONLY`, `O_RDWR`",
        meaning="None: read and write",
        example="flags: O_RDONLY",
    ),
    FieldHelp(
        path="max_append_rate",
        range="bytes per second; 0: no limit",
        meaning="Appends beyond it are slowed down",
        example="max_append_rate: 1048576",
    ),
    FieldHelp(
        path="suspend",
        range="`level`, `offset`",
        meaning="Brokers write it. See the [glossary](../glossary.md)",
        example="suspend: {level: FULL, offset: 1024}",
        more="Leave it out of files: `apply` then keeps what it is. `journalctl suspend` and"
        " `resume` change it.",
    ),
    FieldHelp(
        path="suspend.level",
        range="`NONE`, `PARTIAL`, `FULL`",
        meaning="How many brokers serve it: all replicas, one, or none",
        example="level: FULL",
    ),
    FieldHelp(
        path="suspend.offset",
        range="bytes",
        meaning="The lowest offset at which appends go on",
        example="offset: 1024",
        more="Of a fully suspended journal no broker knows it: whoever overwrites it lets"
        " offsets be written twice.",
    ),
    FieldHelp(
        path="revision",
        range="an etcd revision",
        meaning="What an update expects; none: the journal must not exist; -1: whatever it is",
        example="revision: 42",
    ),
    FieldHelp(
        path="delete",
        range="true",
        meaning="Delete the journal",
        example="delete: true",
        more="Its fragments stay in their stores.",
    ),
    FieldHelp(
        path="children",
        range="list of journals and directories",
        meaning="What is below a directory, whose fields are their defaults",
        example="children: [{name: acme/orders}]",
    ),
    FieldHelp(
        path="comment",
        range="text",
        meaning="Yours. It is not sent to brokers",
        example="comment: owned by the shop",
    ),
)


def children_of(path: str) -> Iterator[FieldHelp]:
    """Yield the fields right below a path; "" is the journal."""
    return (field for field in FIELDS if field.parent == path)
