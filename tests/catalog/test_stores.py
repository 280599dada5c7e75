"""Stores other than AWS: what they refuse is not sent, or is named. The answers are those of the named stores."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session

from tests.catalog.conftest import Read, aliased, published
from tests.support.faults import ACCESS_DENIED, Answer, Ignore, Request, s3_error
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from webhook.catalog.bucket.client import create_client
from webhook.catalog.bucket.errors import Unsupported
from webhook.catalog.bucket.store import Store

NOT_IMPLEMENTED = s3_error(501, "NotImplemented", "A header you provided implies functionality that is not implemented")
"""Of S3 before 2024, and Alibaba's OSS."""


def has(header: str, method: str = "") -> Callable[[Request], bool]:
    """Requests with a header that starts so."""
    return lambda request: (
        request.method.startswith(method) and any(name.lower().startswith(header) for name in request.headers)
    )


def r2(header: str) -> Answer:
    """Cloudflare's R2."""
    return s3_error(501, "NotImplemented", f"Header '{header}' with value 'x' not implemented")


def b2(header: str) -> Answer:
    """Backblaze's B2."""
    return s3_error(400, "InvalidArgument", f"Unsupported header '{header}' received for this API call.")


@pytest.mark.parametrize("answer", [r2, b2])
def test_publishing_and_looking_up_need_no_headers_that_only_aws_knows(
    store: Store, proxy: FaultyProxy, read: Read, tmp_path: Path, answer: Callable[[str], Answer]
) -> None:
    for header in ("x-amz-optional-object-attributes", "x-amz-checksum", "x-amz-sdk-checksum", "x-amz-trailer"):
        proxy.inject(answer(header), when=has(header))
    proxy.inject(s3_error(403, "SignatureDoesNotMatch", "Invalid argument."), when=has("x-amz-decoded-content-length"))
    published(store, tmp_path / "m", "1.2.3")
    aliased(store, "my-model", champion="1.2.3")
    aliased(store, "my-model", champion="1.2.3", challenger="1.2.3")
    artifact = read().resolve("@champion").artifact
    assert artifact.version == "1.2.3"
    assert artifact.objects == 4


@pytest.mark.parametrize("answer", [r2, b2])
def test_archived_objects_of_a_store_that_cannot_say_whether_they_are_restored_are_archived(
    store: Store, proxy: FaultyProxy, bucket: MotoBucket, answer: Callable[[str], Answer]
) -> None:
    bucket.put("model-artifacts/my-model-1.2.3/a", b"x")
    bucket.put("model-artifacts/my-model-1.2.3/b", b"x", "GLACIER")
    proxy.inject(answer("x-amz-optional-object-attributes"), when=has("x-amz-optional-object-attributes"))
    assert [each.is_archived for each in store.objects("my-model-1.2.3/")] == [False, True]


@pytest.mark.parametrize("fault", [NOT_IMPLEMENTED, r2("if-none-match"), b2("If-None-Match"), Ignore("If-None-Match")])
def test_publishing_to_a_store_without_conditional_writes_says_so_and_leaves_nothing(
    store: Store, proxy: FaultyProxy, tmp_path: Path, fault: Answer | Ignore
) -> None:
    proxy.inject(fault, when=has("if-none-match", "PUT"))
    proxy.inject(Ignore("If-Match") if isinstance(fault, Ignore) else fault, when=has("if-match", "PUT"))
    with pytest.raises(Unsupported, match="lacks conditional writes"):
        published(store, tmp_path / "m", "1.2.3")
    assert list(store.objects("")) == []


@pytest.mark.parametrize("fault", [NOT_IMPLEMENTED, Ignore("If-Match")])
def test_an_alias_in_a_store_without_conditional_writes_is_not_set(
    store: Store, proxy: FaultyProxy, fault: Answer | Ignore
) -> None:
    proxy.inject(fault, when=has("if-match", "PUT"))
    with pytest.raises(Unsupported, match="lacks conditional writes"):
        aliased(store, "my-model", champion="1.2.3")
    assert list(store.objects("")) == []


def test_a_store_without_conditional_writes_is_named_even_if_nothing_can_be_deleted(
    store: Store, proxy: FaultyProxy, tmp_path: Path
) -> None:
    proxy.inject(Ignore("If-Match"), when=has("if-match", "PUT"))
    proxy.inject(ACCESS_DENIED, when=lambda request: request.method == "DELETE")
    with pytest.raises(Unsupported, match="lacks conditional writes"):
        published(store, tmp_path / "m", "1.2.3")


def test_a_store_without_object_tags_says_so(store: Store, proxy: FaultyProxy, tmp_path: Path) -> None:
    proxy.inject(r2("x-amz-tagging"), when=has("x-amz-tagging"))
    with pytest.raises(Unsupported, match=r"may lack object tags: NotImplemented: .*x-amz-tagging"):
        published(store, tmp_path / "m", "1.2.3", tags={"published": "true"})


def test_threads_that_ask_at_once_share_one_client(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    others, created = threading.Barrier(8, timeout=30), list[object]()

    def slow(*arguments: Any, **options: Any) -> Any:
        created.append(None)
        time.sleep(0.05)  # while the others come
        return create_client(*arguments, **options)

    def ask(_: int) -> bool:
        others.wait()
        return store.exists("nothing")

    monkeypatch.setattr("webhook.catalog.bucket.store.create_client", slow)
    with ThreadPoolExecutor(8) as threads:
        assert not any(threads.map(ask, range(8)))
    assert len(created) == 1


def test_clients_of_several_services_are_created_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    one_at_a_time = threading.Lock()

    def slow() -> Any:
        assert one_at_a_time.acquire(blocking=False)
        time.sleep(0.05)
        one_at_a_time.release()
        return get_session()

    monkeypatch.setattr("botocore.session.get_session", slow)
    with ThreadPoolExecutor(4) as threads:
        clients = list(threads.map(lambda name: create_client(name, region_name="us-east-1"), ("s3", "sts") * 2))
    for client in clients:
        client.close()
