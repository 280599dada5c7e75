"""Images that were pushed to a real registry, as a real client pulls them."""

from pathlib import Path

import pytest

from tests.images.conftest import FILES, MakeWorld, World
from tests.support.registry import Pulled, pull, skopeo


def test_the_files_are_those_of_the_folder(world: World, repository: str, tmp_path: Path) -> None:
    files = world.publish()
    image = world.push(repository)
    for architecture in ("amd64", "arm64"):
        pulled = pull(image, tmp_path / "pulled", architecture)
        assert pulled.files() == files
        assert (pulled.config["os"], pulled.config["architecture"]) == ("linux", architecture)


def test_an_image_has_a_digest_a_tag_and_a_place_in_the_catalog(world: World, repository: str) -> None:
    world.publish()
    assert world.recorded() is None
    image = world.push(repository)
    assert image.startswith(f"{repository}@sha256:")
    assert world.recorded() == image
    tagged = skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{repository}:1.2.3")
    assert tagged == skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{image}")
    assert f"image      {image}" in world.run("catalog show", "my-model", "1.2.3").stdout


def test_large_files_have_a_layer_each_and_those_of_publishing_too(
    world: World, repository: str, tmp_path: Path
) -> None:
    world.publish()
    pulled = pull(world.push(repository), tmp_path / "pulled")
    assert [[entry.name for entry in pulled.entries(layer)] for layer in pulled.layers] == [
        ["weights-1.bin"],
        ["weights-2.bin"],
        ["config.json", "tokenizer", "tokenizer/empty", "tokenizer/vocab.txt"],
        ["SHA256SUMS", "manifest.json"],
    ]
    assert pulled.config["rootfs"] == {"type": "layers", "diff_ids": pulled.layers}
    assert {layer["mediaType"] for layer in pulled.manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar"}


def test_every_user_can_read_the_files_and_nothing_depends_on_the_time(
    world: World, repository: str, tmp_path: Path
) -> None:
    world.publish()
    pulled = pull(world.push(repository), tmp_path / "pulled")
    for entry in (entry for layer in pulled.layers for entry in pulled.entries(layer)):
        assert (entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime) == (0, 0, "", "", 0)
        assert entry.mode == (0o755 if entry.isdir() else 0o644)


def test_the_same_files_give_the_same_digest_everywhere(world: World, repository: str) -> None:
    world.publish()
    first, second = world.push(repository), world.push(f"{repository}-again")
    assert first.partition("@")[2] == second.partition("@")[2]
    assert world.recorded() == second


def test_a_second_version_uploads_only_what_is_new(world: World, repository: str, tmp_path: Path) -> None:
    world.publish()
    first = pull(world.push(repository), tmp_path / "first")
    files = world.publish("1.3.0", {**FILES, "weights-2.bin": b"n" * 300_000})
    uploaded = world.uploaded(repository, "1.3.0")
    assert 300_000 < uploaded < 310_000
    second = pull(f"{repository}:1.3.0", tmp_path / "second")
    assert second.files() == files
    assert [one == other for one, other in zip(first.layers, second.layers, strict=True)] == [True, False, True, False]


def test_an_image_that_is_there_is_not_uploaded_again(world: World, repository: str) -> None:
    world.publish()
    assert world.uploaded(repository, "1.2.3") > sum(map(len, FILES.values()))
    assert world.uploaded(repository, "1.2.3") == 0


def test_layers_are_mounted_from_another_repository_of_the_registry(
    world: World, repository: str, tmp_path: Path
) -> None:
    files = world.publish()
    world.push(repository)
    assert world.uploaded(f"{repository}/copy", "1.2.3") == 0
    assert pull(f"{repository}/copy:1.2.3", tmp_path / "pulled").files() == files


@pytest.mark.parametrize("record", [b"", b'{"digest": "sha256:' + b"0" * 64 + b'"}', b'{"digest": "../x"}'])
def test_records_that_are_wrong_do_no_harm(world: World, repository: str, record: bytes) -> None:
    world.publish()
    image = world.push(repository)
    for key in [key for key in world.bucket.objects() if "/.layers/" in key]:
        world.bucket.put(key, record)
    assert world.push(repository) == image


def test_a_folder_without_a_manifest_works_too(world: World, repository: str, tmp_path: Path) -> None:
    for name, content in FILES.items():
        world.put(name, content)
    image = world.push(repository)
    assert pull(image, tmp_path / "pulled").files() == FILES
    assert world.recorded() == image
    assert world.uploaded(repository, "1.2.3") == 0


def test_without_a_catalog_nothing_is_written_to_the_bucket(make_world: MakeWorld, repository: str) -> None:
    world = make_world(catalog={"mode": "none"})
    world.publish()
    done = world.run("image push", "my-model@1.2.3", repository)
    assert (done.returncode, done.stdout[: len(repository)]) == (0, repository)
    assert "catalog.mode: none" in done.stderr
    assert not [key for key in world.bucket.objects() if "/." in key]


def test_a_tag_can_be_chosen_and_a_plus_becomes_an_underscore(world: World, repository: str) -> None:
    world.publish("1.2.3+cu12")
    world.push(repository, "1.2.3+cu12")
    world.push(f"{repository}:stable", "1.2.3+cu12")
    tags = skopeo("list-tags", "--tls-verify=false", f"docker://{repository}")
    assert '"1.2.3_cu12"' in tags
    assert '"stable"' in tags


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("my-model@1.2.3", "models/my-model"), 2, "is not REGISTRY/NAME; write such as"),
        (("my-model@1.2.3", "registry.example.com/My-Model"), 2, "with small letters"),
        (("my-model@1.2.3", "registry.example.com/my-model:a+b"), 2, "is not a tag"),
        (("my-model@9.9.9", "registry.example.com/my-model"), 1, "has no version 9.9.9"),
        (("my-model@1.2.3", "127.0.0.1:1/my-model"), 1, "127.0.0.1:1/v2/"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_a_remedy(
    world: World, arguments: tuple[str, ...], status: int, message: str
) -> None:
    world.publish()
    done = world.run("image push", *arguments)
    assert done.returncode == status
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [("tokenizer/.wh.vocab", "delete files in images"), ("config.json/part", "both a file and a folder")],
)
def test_names_that_an_image_cannot_have_are_refused(world: World, repository: str, name: str, message: str) -> None:
    for each in ("config.json", name):
        world.put(each, b"x")
    done = world.run("image push", "my-model@1.2.3", repository)
    assert done.returncode == 1
    assert message in done.stderr


def test_a_layout_is_the_same_image_in_a_folder(world: World, repository: str, tmp_path: Path) -> None:
    world.publish()
    image = world.push(repository)
    done = world.run("image build", "my-model@1.2.3", "-o", str(tmp_path / "layout"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"oci:{tmp_path / 'layout'}:1.2.3\n"
    raw = skopeo("inspect", "--raw", f"oci:{tmp_path / 'layout'}:1.2.3")
    assert raw == skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{image}")


def test_a_layout_has_several_versions_that_share_their_blobs(world: World, tmp_path: Path) -> None:
    layout, files = tmp_path / "layout", dict[str, dict[str, bytes]]()
    for version in ("1.2.3", "1.3.0", "1.2.3"):
        files[version] = world.publish(version)
        assert world.run("image build", f"my-model@{version}", "-o", str(layout)).returncode == 0
    for version, expected in files.items():
        skopeo("copy", "--preserve-digests", f"oci:{layout}:{version}", f"oci:{tmp_path / version}:pulled")
        assert Pulled(tmp_path / version).files() == expected
    blobs = [file.name for file in (layout / "blobs" / "sha256").iterdir()]
    assert len(blobs) == 3 + 2 * (1 + 2 + 2 + 1)  # what is shared; for each a layer, configurations, manifests, index
    assert all(len(name) == 64 for name in blobs)


def test_a_folder_with_other_files_is_left_alone(world: World, tmp_path: Path) -> None:
    world.publish()
    done = world.run("image build", "my-model@1.2.3", "-o", str(tmp_path))
    assert done.returncode == 2
    assert "neither empty nor an OCI layout" in done.stderr
