"""What the catalog has, and settings with loads."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.known import known_settings
from webhook.controller.published import Model, Published, Version
from webhook.model.artifact import Artifact
from webhook.settings import Settings

GIB = 1 << 30
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def loading(*loads: dict[str, Any], **settings: Any) -> Settings:
    """Settings with these loads, by default one by shared-volume; others are of the group of that strategy."""
    group = {"storage_class": "nfs", **settings.pop("shared_volume", {})}
    controller = {"namespace": "model-injector", "push": {"image": "model-injector:1", "config_map": "settings"}}
    given = {
        "loads": list(loads) or [{"strategy": "shared-volume"}],
        "strategies": {"shared-volume": group},
        "controller": controller,
        **settings,
    }
    return known_settings(**given)


def digest(letter: str) -> str:
    return letter * 64


def version(
    settings: Settings,
    name: str = "1.2.3",
    model: str = "my-model",
    *,
    letter: str = "a",
    size: int = 10 * GIB,
    source: str = "default",
    image: str | None = None,
    **state: Any,
) -> Version:
    """A version; `letter` is what its digest is made of. A later name is published later."""
    place = settings.all_sources[source]
    artifact = Artifact(model, name, place, 2, size, digest(letter), 4, size + 100, image)
    return Version(artifact, FIRST + timedelta(days=int(name.split(".", 1)[0])), **state)


def catalog(*versions: Version, source: str = "default", **aliases: str) -> Published:
    """A catalog of one source; the aliases are of every model."""
    models: dict[str, dict[str, Version]] = {}
    for each in versions:
        models.setdefault(each.artifact.model, {})[each.artifact.version] = each
    known = {name: Model(of_model, aliases) for name, of_model in models.items()}
    return Published({source: known}, frozenset(each.artifact.uri for each in versions))
