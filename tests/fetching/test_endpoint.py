"""Ways to S3: public buckets, requester pays, private certificates, HTTP proxies."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.fetching.conftest import Model, Store
from tests.support import rclone
from tests.support.certificates import ServerCertificate, throwaway_certificate
from tests.support.container import FLAGS, InitContainer
from tests.support.faulty_proxy import FaultyProxy
from tests.support.folder import Folder
from webhook.catalog.bucket.store import Store as Catalog
from webhook.model.artifact import Artifact
from webhook.model.source import Source

FILES = {"config.json": b"{}", "folder/weights.bin": b"w" * 1000}
NAME = "s3.models.test"
"""Known to no name server: only a proxy can reach it."""


@pytest.fixture(autouse=True)
def files(model: Model) -> None:
    model.write(FILES)


def test_a_public_bucket_needs_no_keys(fetch: InitContainer, store: Store, volume: Folder, tmp_path: Path) -> None:
    with rclone.serve(store.root, tmp_path / "log", anonymous=True) as url, FaultyProxy(url) as proxy:
        env = {"S3_ENDPOINT_URL": proxy.url, "AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
        assert fetch(env=env, flags=(*FLAGS, "--no-sign-request")).reason == "Complete"
    assert volume.read() == FILES
    assert {request.headers["Authorization"] for request in proxy.requests} == {None}


def test_a_requester_who_pays_says_so_in_every_request(fetch: InitContainer, s3: FaultyProxy) -> None:
    assert fetch(flags=(*FLAGS, "--request-payer", "requester")).reason == "Complete"
    assert {request.headers["X-Amz-Request-Payer"] for request in s3.requests} == {"requester"}


def test_nobody_pays_unasked(fetch: InitContainer, s3: FaultyProxy) -> None:
    fetch()
    assert {request.headers["X-Amz-Request-Payer"] for request in s3.requests} == {None}


@pytest.fixture
def certificate(tmp_path: Path) -> ServerCertificate:
    return throwaway_certificate(tmp_path, "localhost", NAME)


@pytest.fixture
def tls_port(store: Store, tmp_path: Path, certificate: ServerCertificate) -> Iterator[int]:
    with rclone.serve(store.root, tmp_path / "tls-log", certificate=certificate) as url:
        port = urlsplit(url).port
        assert port is not None
        yield port


def test_a_certificate_of_an_unknown_authority_is_not_trusted(fetch: InitContainer, tls_port: int) -> None:
    outcome = fetch(env={"S3_ENDPOINT_URL": f"https://localhost:{tls_port}"})
    assert outcome.reason == "Unreachable"
    assert "caBundle" in outcome.message.message
    assert "x509" in outcome.message.message
    assert "retrying" not in outcome.log


def test_a_certificate_of_an_authority_in_the_bundle_is_trusted(
    fetch: InitContainer, volume: Folder, certificate: ServerCertificate, tls_port: int
) -> None:
    env = {"S3_ENDPOINT_URL": f"https://localhost:{tls_port}", "FETCH_CA_BUNDLE": certificate.authority.strip()}
    assert fetch(env=env).reason == "Complete"
    assert volume.read() == FILES


def test_https_goes_through_the_proxy_of_the_environment(
    fetch: InitContainer, volume: Folder, certificate: ServerCertificate, tls_port: int
) -> None:
    with FaultyProxy(f"https://127.0.0.1:{tls_port}") as proxy:
        env = {
            "S3_ENDPOINT_URL": f"https://{NAME}",
            "HTTPS_PROXY": proxy.url,
            "FETCH_CA_BUNDLE": certificate.authority,
        }
        assert fetch(env=env).reason == "Complete"
    assert volume.read() == FILES
    assert set(proxy.tunnels) == {f"{NAME}:443"}


def test_http_goes_through_the_proxy_of_the_environment(fetch: InitContainer, volume: Folder, s3: FaultyProxy) -> None:
    assert fetch(env={"S3_ENDPOINT_URL": f"http://{NAME}", "HTTP_PROXY": s3.url}).reason == "Complete"
    assert volume.read() == FILES
    assert {request.headers["Host"] for request in s3.requests} == {NAME}


ACCOUNT = "123456789012"
DUAL_STACK, FIPS = {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, {"AWS_USE_FIPS_ENDPOINT": "true"}
ACCESS_POINT = f"my-ap-{ACCOUNT}.s3-accesspoint"
ADDRESSES = [
    ("my-bucket", "eu-west-1", "my-bucket.s3.eu-west-1.amazonaws.com", {}),
    ("my.bucket", "eu-west-1", "s3.eu-west-1.amazonaws.com", {}),
    ("my-ap-s3alias", "eu-west-1", "my-ap-s3alias.s3.eu-west-1.amazonaws.com", {}),
    (f"arn:aws:s3:eu-west-1:{ACCOUNT}:accesspoint/my-ap", "eu-west-1", f"{ACCESS_POINT}.eu-west-1.amazonaws.com", {}),
    (
        f"arn:aws-cn:s3:cn-north-1:{ACCOUNT}:accesspoint/my-ap",
        "cn-north-1",
        f"{ACCESS_POINT}.cn-north-1.amazonaws.com.cn",
        {},
    ),
    ("my-bucket", "cn-north-1", "my-bucket.s3.cn-north-1.amazonaws.com.cn", {}),
    ("my-bucket", "us-gov-west-1", "my-bucket.s3.us-gov-west-1.amazonaws.com", {}),
    ("my-bucket", "eu-west-1", "my-bucket.s3.dualstack.eu-west-1.amazonaws.com", DUAL_STACK),
    ("my-bucket", "us-east-1", "my-bucket.s3-fips.us-east-1.amazonaws.com", FIPS),
    ("my-bucket", "us-gov-west-1", "my-bucket.s3-fips.dualstack.us-gov-west-1.amazonaws.com", DUAL_STACK | FIPS),
]
"""Bucket, region, the host that AWS documents, variables."""


@dataclass(frozen=True)
class Amazon:
    """Servers of S3 at all these hosts: buckets are the first label of a host's name, or the first part of a path."""

    authority: Path
    by_host: str
    by_path: str


@pytest.fixture(scope="module")
def amazon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Amazon]:
    folder = tmp_path_factory.mktemp("amazon")
    hosts = {host for _, _, host, _ in ADDRESSES}
    certificate = throwaway_certificate(folder, *sorted(hosts))
    (folder / "authority").write_text(certificate.authority)
    for bucket in {"my.bucket", *(host.partition(".")[0] for host in hosts)}:
        Folder(folder / "buckets" / bucket / "model-artifacts" / "my-model-1.2.3").write(FILES)
    root, log = folder / "buckets", folder / "log"
    with (
        rclone.serve(root, log, certificate=certificate, virtual_hosts=True) as by_host,
        rclone.serve(root, folder / "log-by-path", certificate=certificate) as by_path,
    ):
        yield Amazon(folder / "authority", by_host, by_path)


@pytest.mark.parametrize(("bucket", "region", "host", "env"), ADDRESSES)
def test_init_container_and_catalog_find_buckets_of_aws_at_the_same_host(
    fetch: InitContainer,
    volume: Folder,
    amazon: Amazon,
    monkeypatch: pytest.MonkeyPatch,
    bucket: str,
    region: str,
    host: str,
    env: dict[str, str],
) -> None:
    source = Source(bucket=bucket, region=region, prefix="model-artifacts")
    artifact = Artifact("my-model", "1.2.3", source)
    with FaultyProxy(amazon.by_path if host.startswith("s3.") else amazon.by_host) as proxy:
        ways = {"HTTPS_PROXY": proxy.url, "AWS_REGION": region, **env}
        outcome = fetch(
            uri=f"{artifact.uri}/*",
            env={**ways, "S3_ENDPOINT_URL": None, "FETCH_CA_BUNDLE": amazon.authority.read_text()},
        )
        for variable, value in {**fetch.env, **ways, "AWS_CA_BUNDLE": str(amazon.authority)}.items():
            monkeypatch.setenv(variable, value)
        with closing(Catalog(source)) as catalog:
            listed = {each.key for each in catalog.objects(f"{artifact.folder}/")}
    assert outcome.reason == "Complete"
    assert volume.read() == FILES
    assert listed == FILES.keys()
    assert set(proxy.tunnels) == {f"{host}:443"}
