"""Pushes that are interrupted: by the registry, by S3, by a signal, by files that are wrong."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.images.conftest import FILES, LARGE, World
from tests.support import constants, resuming_registry
from tests.support.cutting_relay import CuttingRelay
from tests.support.faults import SLOW_DOWN, Answer, Cut, Drop, Request, Stall, download_of
from tests.support.faulty_proxy import FaultyProxy
from tests.support.polling import until
from tests.support.registry import pull, skopeo

HEAVY = {**FILES, "weights-1.bin": bytes(range(256)) * 20_000}  # 5 MB
MANIFESTS = 3
"""The manifests of an image: one for each of two platforms, and the index."""


@pytest.fixture
def registry_proxy(address: str) -> Iterator[FaultyProxy]:
    with FaultyProxy(f"http://{address}") as proxy:
        yield proxy


def through(proxy: FaultyProxy, repository: str) -> str:
    """A repository as it is called behind a proxy."""
    return f"{proxy.url.removeprefix('http://')}/{repository.partition('/')[2]}"


def is_a(method: str, request: Request) -> bool:
    return request.method == method


def has_images(repository: str) -> bool:
    return "MANIFEST" not in skopeo("list-tags", "--tls-verify=false", f"docker://{repository}")


def test_an_upload_that_breaks_off_begins_again_where_the_registry_drops_it(
    world: World, address: str, repository: str, tmp_path: Path
) -> None:
    files = world.publish(files=HEAVY)
    with CuttingRelay(address, after=2_000_000, times=2) as relay:
        world.push(f"{relay.address}/{repository.partition('/')[2]}")
        assert relay.left == 0
    assert pull(f"{repository}:1.2.3", tmp_path / "pulled").files() == files


def test_an_upload_that_breaks_off_continues_where_the_registry_keeps_it(world: World) -> None:
    world.publish(files=HEAVY)
    with resuming_registry.serve(breaks=3) as registry:
        world.push(f"{registry.address}/my-model")
        assert len(registry.manifests) == MANIFESTS
        assert len(registry.ranges) == 3
        assert all(bytes(upload) in registry.blobs.values() for upload in registry.uploads if upload)


def test_a_registry_that_is_busy_is_asked_again(world: World, registry_proxy: FaultyProxy, repository: str) -> None:
    world.publish()
    for status, method in ((429, "POST"), (503, "PATCH"), (500, "PUT"), (502, "HEAD")):
        busy = Answer(status, b"", (("Retry-After", "0"),))
        registry_proxy.inject(busy, partial(is_a, method), times=2)
    registry_proxy.inject(Drop(), lambda request: "/manifests/" in request.target, 1)
    world.push(through(registry_proxy, repository))
    assert has_images(repository)


def test_a_layer_whose_acknowledgement_is_lost_is_not_sent_again(
    world: World, registry_proxy: FaultyProxy, repository: str
) -> None:
    def is_last(request: Request) -> bool:
        return request.method == "PUT" and "digest=" in request.target

    world.publish(files={"weights.bin": b"w" * 1000})
    registry_proxy.inject(Cut(), is_last, 1)
    world.push(through(registry_proxy, repository))
    patches = [request for request in registry_proxy.requests if request.method == "PATCH"]
    assert len(patches) == 2  # the file's layer, and that of publishing


def test_a_download_that_breaks_off_continues_at_its_offset(
    world: World, s3_proxy: FaultyProxy, repository: str, tmp_path: Path
) -> None:
    files = world.publish(files=HEAVY)
    of_weights = download_of("weights-1.bin")
    s3_proxy.inject(Cut(3_000_000), of_weights, 1)
    s3_proxy.inject(SLOW_DOWN, of_weights, 1)
    image = world.push(repository)
    assert pull(image, tmp_path / "pulled").files() == files
    asked = [request.headers["Range"] for request in s3_proxy.requests if of_weights(request)]
    assert asked[0] == "bytes=0-5119999"
    assert int(asked[-1].removeprefix("bytes=").partition("-")[0]) > 1_000_000


@pytest.mark.parametrize("name", ["weights-1.bin", "config.json", "SHA256SUMS"])
def test_a_file_that_differs_from_the_manifest_makes_no_image(world: World, repository: str, name: str) -> None:
    files = world.publish()
    world.put(name, files[name][:-1] + b"!")
    done = world.run("image push", "my-model@1.2.3", repository)
    assert done.returncode == 1
    assert "its sha256 differs from the manifest" in done.stderr
    assert world.recorded() is None


def test_an_object_that_is_replaced_meanwhile_makes_no_image(
    world: World, s3_proxy: FaultyProxy, repository: str
) -> None:
    for name, content in FILES.items():
        world.put(name, content)
    s3_proxy.inject(Cut(1000), download_of("weights-1.bin"), 1)

    def replace(request: Request) -> bool:
        if download_of("weights-2.bin")(request):
            world.put("weights-1.bin", b"x" * len(FILES["weights-1.bin"]))
        return False

    s3_proxy.inject(Drop(), replace)
    done = world.run("image push", "my-model@1.2.3", repository)
    assert done.returncode == 1
    assert world.recorded() is None


def test_a_file_that_is_added_meanwhile_makes_no_image(world: World, s3_proxy: FaultyProxy, repository: str) -> None:
    for name, content in FILES.items():
        world.put(name, content)

    def add(request: Request) -> bool:
        if download_of("weights-2.bin")(request):
            world.put("added.bin", b"x")
        return False

    s3_proxy.inject(Drop(), add)
    done = world.run("image push", "my-model@1.2.3", repository)
    assert done.returncode == 1
    assert "has changed in the meantime" in done.stderr


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_a_push_that_is_ended_continues_with_what_is_missing(
    world: World, s3_proxy: FaultyProxy, repository: str, tmp_path: Path, ending: signal.Signals
) -> None:
    files = world.publish(files=HEAVY)
    s3_proxy.inject(Stall(1000), download_of("weights-1.bin"))
    command = (
        *constants.program({"webhook.images.layers.LARGE": LARGE}),
        "image",
        "push",
        "my-model@1.2.3",
        repository,
        "--config",
        str(world.folder / "settings.yaml"),
    )
    with subprocess.Popen(command, env={**os.environ, **world.env}, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: sum("/.layers/" in key for key in world.bucket.objects()) == 3)
            process.send_signal(ending)
            s3_proxy.closing.set()  # ends the download, for which the program waits before it ends
            assert process.wait(60) == (-ending if ending == signal.SIGKILL else 128 + signal.SIGINT)
        finally:
            process.kill()
    s3_proxy.heal()  # only now: before, the download could be complete before the program notices the signal
    done = world.run("image push", "my-model@1.2.3", repository, "-o", "json")
    assert done.returncode == 0, done.stderr
    assert len(HEAVY["weights-1.bin"]) < json.loads(done.stdout)["uploaded"] < len(HEAVY["weights-1.bin"]) + 2000
    assert pull(f"{repository}:1.2.3", tmp_path / "pulled").files() == files


def test_a_bucket_that_may_not_be_written_is_named_with_the_image(
    world: World, s3_proxy: FaultyProxy, repository: str
) -> None:
    world.publish()
    denied = Answer(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
    s3_proxy.inject(denied, lambda request: request.method == "PUT")
    done = world.run("image push", "my-model@1.2.3", repository)
    assert done.returncode == 1
    assert f"{repository}@sha256:" in done.stderr
    assert "is pushed, but not in the catalog" in done.stderr
    assert "the layers are not recorded" in done.stderr
