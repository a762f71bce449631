"""Starts versitygw, a real S3 server over a directory, which unlike moto checks signatures."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3

READY_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """Where a server of S3 is, and who may use it."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def url(self, prefix: str = "", bucket: str | None = None) -> str:
        """Return the URL of a fragment store."""
        name = self.bucket if bucket is None else bucket
        return f"s3://{name}/{prefix}?endpoint={self.endpoint}&region={self.region}"

    def environment(self) -> dict[str, str]:
        """Return the variables by which S3 clients find the credentials."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            # Keeps clients from asking a cloud's metadata service, or a developer's own files.
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self) -> Any:
        """Return a client of it, to be closed."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )

    def create_bucket(self) -> None:
        """Create the bucket."""
        client = self.client()
        client.create_bucket(Bucket=self.bucket)
        client.close()


def find_versitygw() -> str:
    """Return the path of the program, or skip the test."""
    found = os.environ.get("GAZETTE_TEST_VERSITYGW") or shutil.which("versitygw")
    if not found:
        pytest.skip("versitygw is neither on PATH nor named by GAZETTE_TEST_VERSITYGW")
    return found


class VersityGW:
    """A server over a directory, which keeps its objects and its port over restarts."""

    def __init__(self, directory: Path, bucket: str = "fragments") -> None:
        self.server = S3Server(
            endpoint=f"http://127.0.0.1:{_free_port()}",
            bucket=bucket,
            access_key="test-access",
            secret_key="test-secret",
        )
        self.root = directory / "objects"
        sidecar = directory / "metadata"
        self.root.mkdir()
        sidecar.mkdir()
        self._log = directory / "versitygw.log"
        # Metadata goes to files of its own: temporary file systems often have no extended
        # attributes.
        address = self.server.endpoint.removeprefix("http://")
        accounts = directory / "accounts"
        accounts.mkdir()
        self._command = [find_versitygw(), "--port", address, "--quiet"]
        self._command += ["--iam-dir", str(accounts)]
        self._command += ["--access", self.server.access_key, "--secret", self.server.secret_key]
        self._command += ["posix", "--sidecar", str(sidecar), str(self.root)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        _wait_ready(self._process, self.server.endpoint, self._log)

    def create_user(self, access_key: str, *actions: str) -> S3Server:
        """Return what another user knows of it, who may do just these actions in the bucket."""
        server = self.server
        user = replace(server, access_key=access_key, secret_key=f"secret-of-{access_key}")
        command = [find_versitygw(), "admin", "--endpoint-url", server.endpoint]
        command += ["--access", server.access_key, "--secret", server.secret_key]
        command += ["create-user", "--role", "user"]
        command += ["--access", user.access_key, "--secret", user.secret_key]
        subprocess.run(command, check=True, capture_output=True, timeout=READY_TIMEOUT_S)
        bucket = f"arn:aws:s3:::{server.bucket}"
        allowed = {
            "Effect": "Allow",
            "Principal": [access_key],
            "Action": list(actions),
            "Resource": [bucket, f"{bucket}/*"],
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        client = server.client()
        client.put_bucket_policy(Bucket=server.bucket, Policy=policy)
        client.close()
        return user

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGSTOP:  # Until its last thread has stopped, it may still answer.
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def stop(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait(timeout=10)


@contextlib.contextmanager
def versitygw_process(directory: Path) -> Iterator[VersityGW]:
    """Run a server over a new directory, with a bucket, until the context ends."""
    gateway = VersityGW(directory)
    try:
        gateway.start()
        gateway.server.create_bucket()
        yield gateway
    finally:
        gateway.stop()


@contextlib.contextmanager
def versitygw(directory: Path) -> Iterator[S3Server]:
    """Run a server which is only spoken to."""
    with versitygw_process(directory) as gateway:
        yield gateway.server


def _wait_ready(process: subprocess.Popen[bytes], endpoint: str, log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    with urllib3.PoolManager(retries=False) as pool:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                pytest.fail(f"versitygw ended: {log.read_text()}")
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                pool.request("GET", endpoint, timeout=1)
                return
            time.sleep(0.05)
    pytest.fail(f"versitygw did not answer in {READY_TIMEOUT_S} s: {log.read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
