"""Configuration of a broker process, as values; its flags and environment are in `cli.serve`."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdConfig:
    """Where etcd is, and how we are known there."""

    address: str = "http://localhost:2379"
    prefix: str = "/gazette/cluster"
    lease_s: int = 20
    cert_file: str = ""
    cert_key_file: str = ""
    trusted_ca_file: str = ""
    user: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerConfig:
    """One broker. Rates are bytes per second, 0 for none."""

    zone: str = "local"
    id: str = ""  # Empty: a random one.
    host: str = ""  # Empty: the name of this machine.
    port: str = ""  # A number, `unix:///path`, or empty for a free one.
    http_port: int | None = None  # None: the one after `port`; 0: a free one.
    allow_origins: tuple[str, ...] = ()  # Of pages which may use the HTTP gateways.
    http_compat: bool = False  # Appends over HTTP are answered by the reference's statuses.
    max_grpc_recv_size: int = 4 << 20
    limit: int = 1024
    file_root: str = ""
    file_only: bool = False
    file_mode: int = 0o640
    max_append_rate: int = 0
    min_append_rate: int = 65536
    max_replication: int = 9
    watch_delay_s: float = 0.03
    auto_suspend: bool = False
    auth_keys: str = field(default="", repr=False)  # As written; empty: all are let in.
    watermarks: bool = True
    shutdown_timeout_s: float = 540.0
    spool_dir: str = ""  # Empty: a temporary one.
    spool_max_bytes: int = 0  # 0: nine tenths of the free disk.
    persist_concurrency: int = 32
    debug_host: str = "127.0.0.1"
    debug_port: int | None = None  # A second listener of diagnostics.
    debug_private: bool = False  # Diagnostics only there.
    etcd: EtcdConfig = EtcdConfig()
