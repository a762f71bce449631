"""Starts emulators: fake-gcs-server of Google Cloud Storage, and Azurite of Azure's blobs.

Azurite checks signatures and keys; fake-gcs-server checks neither.
"""

import contextlib
import http.server
import json
import os
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import jwt
import pytest
import urllib3
from azure.storage.blob import BlobServiceClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from gazette_py.local.ports import free_ports

READY_TIMEOUT_S = 30
# Of every emulator, as its documentation publishes it.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GCSServer:
    """Where an emulator of Google Cloud Storage is, and a key by which to sign URLs of it."""

    endpoint: str
    bucket: str
    key_file: Path

    def url(self, prefix: str = "", bucket: str | None = None) -> str:
        """Return the URL of a fragment store."""
        return f"gs://{self.bucket if bucket is None else bucket}/{prefix}"

    def environment(self) -> dict[str, str]:
        """Return the variables by which clients find it."""
        return {
            "STORAGE_EMULATOR_HOST": self.endpoint,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.key_file),
            "NO_GCE_CHECK": "true",  # Keeps clients from asking a cloud's metadata service.
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureServer:
    """Where an emulator of Azure's blob service is, and who may use it."""

    endpoint: str
    container: str

    def url(self, prefix: str = "", container: str | None = None) -> str:
        """Return the URL of a fragment store."""
        name = self.container if container is None else container
        return f"azure://{name}/{prefix}?endpoint={self.endpoint}"

    def environment(self) -> dict[str, str]:
        """Return the variables by which clients find the credentials."""
        return {"AZURE_ACCOUNT_NAME": ACCOUNT, "AZURE_ACCOUNT_KEY": ACCOUNT_KEY}

    def create_container(self, certificate: Path | None) -> None:
        """Create the container, of a server which has the certificate."""
        credential = {"account_name": ACCOUNT, "account_key": ACCOUNT_KEY}
        trust = {} if certificate is None else {"connection_verify": str(certificate)}
        with BlobServiceClient(self.endpoint, credential, **trust) as service:
            service.create_container(self.container)


def write_key_file(path: Path, token_uri: str = "https://127.0.0.1:9/token") -> None:
    """Write the file of a service account which nobody knows."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {
        "type": "service_account",
        "project_id": "test",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "broker@test.iam.gserviceaccount.com",
        "token_uri": token_uri,
    }
    path.write_text(json.dumps(account))


def find_program(name: str, variable: str) -> str:
    """Return the path of a program, or skip the test."""
    found = os.environ.get(variable) or shutil.which(name)
    if not found:
        pytest.skip(f"{name} is neither on PATH nor named by {variable}")
    return found


@contextlib.contextmanager
def fake_gcs(directory: Path, bucket: str = "fragments") -> Iterator[GCSServer]:
    """Run fake-gcs-server, with a bucket, until the context ends."""
    program = find_program("fake-gcs-server", "GAZETTE_TEST_FAKE_GCS")
    address = f"127.0.0.1:{free_ports(1)[0]}"
    host, _, port = address.partition(":")
    command = [program, "-backend", "memory", "-scheme", "http", "-host", host, "-port", port]
    # Else it knows signed URLs, which are of the public host, by the service's own name alone.
    command += ["-public-host", address, "-external-url", f"http://{address}"]
    key_file = directory / "key.json"
    write_key_file(key_file)
    server = GCSServer(endpoint=f"http://{address}", bucket=bucket, key_file=key_file)
    with _running(command, server.endpoint, directory / "fake-gcs-server.log"):
        with urllib3.PoolManager() as pool:
            url = f"{server.endpoint}/storage/v1/b?project=test"
            assert pool.request("POST", url, json={"name": bucket}).status == 200
        yield server


@contextlib.contextmanager
def azurite(
    directory: Path, container: str = "fragments", *, certificate: Path | None = None
) -> Iterator[AzureServer]:
    """Run Azurite, with a container, until the context ends.

    Args:
        directory: Where it keeps its files.
        container: Name of the container.
        certificate: PEM file with a key; it then speaks TLS, and takes tokens of any application.
    """
    program = find_program("azurite-blob", "GAZETTE_TEST_AZURITE")
    port = free_ports(1)[0]
    command = [program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"]
    # The SDK may be newer than the emulator.
    command += ["--location", str(directory), "--skipApiVersionCheck", "--disableTelemetry"]
    scheme = "http"
    if certificate is not None:
        scheme = "https"
        command += ["--cert", str(certificate), "--key", str(certificate), "--oauth", "basic"]
    origin = f"{scheme}://127.0.0.1:{port}"
    server = AzureServer(endpoint=f"{origin}/{ACCOUNT}", container=container)
    with _running(command, origin, directory / "azurite.log", certificate):
        server.create_container(certificate)
        yield server


@contextlib.contextmanager
def _running(
    command: list[str], endpoint: str, log: Path, certificate: Path | None = None
) -> Iterator[None]:
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait_ready(process, endpoint, log, certificate)
        yield
    finally:
        process.kill()
        process.wait(timeout=10)


def _wait_ready(
    process: "subprocess.Popen[bytes]", endpoint: str, log: Path, certificate: Path | None
) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    name = Path(process.args[0]).name  # type: ignore[index]
    with urllib3.PoolManager(retries=False, ca_certs=certificate and str(certificate)) as pool:
        while time.monotonic() < deadline:
            assert process.poll() is None, f"{name} ended: {log.read_text()}"
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                pool.request("GET", endpoint, timeout=1)
                return
            time.sleep(0.05)
    pytest.fail(f"{name} did not answer in {READY_TIMEOUT_S} s: {log.read_text()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """An Azurite which takes tokens, and what gives them to anyone who has the secret."""

    azure: AzureServer
    authority: str
    certificate: Path
    token_requests: list[str]  # Paths, so far.

    def url(self, prefix: str = "") -> str:
        """Return the URL of a fragment store."""
        place = f"azure-ad://{TENANT}/{ACCOUNT}/{self.azure.container}/{prefix}"
        return f"{place}?endpoint={self.azure.endpoint}"

    def environment(self) -> dict[str, str]:
        """Return the variables by which clients find credentials, and trust the certificate."""
        return {
            "AZURE_CLIENT_ID": "test-client",
            "AZURE_CLIENT_SECRET": CLIENT_SECRET,
            "AZURE_AUTHORITY_HOST": self.authority,
            "REQUESTS_CA_BUNDLE": str(self.certificate),
            "SSL_CERT_FILE": str(self.certificate),
        }


TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT_SECRET = "test-secret"


@contextlib.contextmanager
def directory_azurite(directory: Path) -> Iterator[Directory]:
    """Run an Azurite with TLS, and a token endpoint, until the context ends."""
    certificate = directory / "certificate.pem"
    _write_certificate(certificate)
    with azurite(directory, certificate=certificate) as azure, _authority(certificate) as server:
        host, port = server.server_address[:2]
        yield Directory(
            azure=azure,
            authority=f"https://{host!s}:{port}",
            certificate=certificate,
            token_requests=server.token_requests,
        )


class _Authority(http.server.ThreadingHTTPServer):
    daemon_threads = True
    token_requests: list[str]


class _AuthorityHandler(http.server.BaseHTTPRequestHandler):
    server: _Authority

    def do_GET(self) -> None:
        base = f"https://127.0.0.1:{self.server.server_address[1]}/{TENANT}"
        self._answer(
            200,
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
            },
        )

    def do_POST(self) -> None:
        self.server.token_requests.append(self.path)
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if f"client_secret={CLIENT_SECRET}" not in form.split("&"):
            self._answer(401, {"error": "invalid_client", "error_description": "wrong secret"})
            return
        now = int(time.time())
        claims = {
            "aud": "https://storage.azure.com",
            "iss": f"https://sts.windows.net/{TENANT}/",
            "iat": now,
            "nbf": now - 60,
            "exp": now + 3600,
            "oid": "test-object",
            "tid": TENANT,
        }
        token = jwt.encode(claims, "a secret which Azurite does not ask for", algorithm="HS256")
        self._answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600})

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, status: int, document: dict[str, object]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def _authority(certificate: Path) -> Iterator[_Authority]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with _Authority(("127.0.0.1", 0), _AuthorityHandler) as server:
        server.token_requests = []
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _write_certificate(path: Path) -> None:
    """Write a certificate of 127.0.0.1, which signed itself, with its key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
