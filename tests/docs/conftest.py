"""The documentation as a site, built once."""

from pathlib import Path

import pytest

from documentation.site import build

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site. A broken link, or a page that the navigation lacks, fails with what to do."""
    try:
        return build(ROOT, tmp_path_factory.mktemp("site"))
    except SystemExit as problem:
        pytest.fail(str(problem))
