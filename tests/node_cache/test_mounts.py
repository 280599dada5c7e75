"""Which mounts are of versions in the cache."""

import pytest

from webhook.node_cache.mounts import Mount, version_of

KEY = "a1" * 20


@pytest.mark.parametrize(
    ("place", "root", "found"),
    [
        ("/var/lib/model-injector", f"/var/lib/model-injector/versions/{KEY}/files", KEY),
        ("/var/lib/model-injector", f"/var/lib/model-injector/versions/{KEY}/files//deleted", KEY),
        ("/", f"/versions/{KEY}/files", KEY),  # a disk of its own
        ("/", "/versions", None),
        ("/var/lib/model-injector", f"/var/lib/model-injector-2/versions/{KEY}/files", None),
        ("/var/lib/model-injector", f"/other/versions/{KEY}/files", None),
        ("/var/lib/model-injector", "/var/lib/model-injector", None),
    ],
)
def test_a_version_is_mounted_from_its_place_in_the_cache(place: str, root: str, found: str | None) -> None:
    assert version_of(Mount("8:1", root), Mount("8:1", place)) == found
    assert version_of(Mount("8:2", root), Mount("8:1", place)) is None
