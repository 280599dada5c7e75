"""Loads by images: the Jobs that push them."""

from tests.controller.catalogs import catalog, digest, version
from tests.controller.controlled import (
    HOME,
    PUSH,
    Controlled,
    kinds,
)
from tests.controller.memory import JOB, PREFIX
from webhook.controller.steps import Create, Delete


def test_only_so_many_images_are_pushed_at_once() -> None:
    versions = [version(PUSH, f"{number}.0.0") for number in range(3)]
    it = Controlled(
        PUSH.model_copy(update={"controller": PUSH.controller.model_copy(update={"max_concurrent_jobs": 2})})
    )
    it.settle(catalog(*versions))
    assert len(it.cluster.names(JOB)) == 2
    assert it.decide().states == {("oci-image", "loading"): 2, ("oci-image", "waiting"): 1}


def test_an_image_is_pushed_and_done_when_the_catalog_has_it() -> None:
    it = Controlled(PUSH, version(PUSH))
    (job,) = it.step()
    assert isinstance(job, Create)
    container = job.object["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][:4] == ["image", "push", "my-model@1.2.3", "registry.example.com/models/my-model"]
    assert it.step() == []
    assert it.decide().states == {("oci-image", "loading"): 1}
    it.cluster.finish(it.cluster.names(JOB)[0])
    assert it.decide().states == {("oci-image", "loading"): 1}
    image = f"registry.example.com/models/my-model@sha256:{digest('e')}"
    assert it.settle(catalog(version(PUSH, image=image))).states == {("oci-image", "ready"): 1}


def test_the_image_of_a_version_that_was_published_again_is_pushed_again() -> None:
    it = Controlled(PUSH, version(PUSH))
    it.settle()
    it.published = catalog(version(PUSH, letter="b"))
    (delete,) = it.step()
    assert isinstance(delete, Delete)
    assert it.step() == []
    it.cluster.collect()
    (create,) = it.step()
    assert isinstance(create, Create)
    assert create.object["metadata"]["annotations"][f"{PREFIX}/digest"] == digest("b")


def test_an_image_in_another_repository_is_pushed() -> None:
    other = version(PUSH, image=f"registry.example.com/models/my-model-2@sha256:{digest('e')}")
    assert kinds(Controlled(PUSH, other).step()) == [("Create", JOB, HOME)]
