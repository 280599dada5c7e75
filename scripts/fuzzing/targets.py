"""What scripts/fuzz tries: for each target, a strategy for its inputs, and a check of one input."""

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonpatch
import msgspec
import yaml
from hypothesis import strategies as st
from jsonpatch import JsonPatchException
from jsonpointer import JsonPointerException

from fuzzing.checks import Violation, in_folder, message, only_adds
from fuzzing.stubs import listed, pushed, version
from tests.support.generators import settings as generated_settings
from tests.support.generators import volumes as generated_volumes
from tests.support.generators.annotations import SERVICE_ACCOUNT_VOLUME, annotated_pods
from tests.support.generators.bucket import S3Answer, catalog_files, s3_answers, version_answers
from tests.support.generators.manifests import manifests
from tests.support.generators.registry import RegistryAnswer, registry_answers
from tests.support.generators.reviews import review_bodies
from tests.support.known import Known, known_settings
from tests.support.reviews import operations
from webhook.admission.decide import inject
from webhook.admission.review import encode_response
from webhook.catalog.bucket import images, listing, manifest, withdrawals
from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.live import StaticCatalog
from webhook.catalog.resolution import LookupRequired, Resolved
from webhook.errors import InjectorError
from webhook.http.metrics import Metrics
from webhook.images.connection import RegistryError
from webhook.images.stream import Stopped
from webhook.kubernetes.patch import Operation
from webhook.kubernetes.pod import decode
from webhook.model.artifact import Artifact
from webhook.model.request import ModelRequest
from webhook.node_cache.metrics import CacheMetrics
from webhook.node_cache.publisher import Publisher
from webhook.node_cache.refusals import Refused
from webhook.node_cache.service import volume_of
from webhook.preview import FORMATS, SERVED, check_models, content, preview, read
from webhook.server.mutate import MutateEndpoint
from webhook.settings.loading import InvalidSettings, load

JSON = dict[str, Any]
_SETTINGS = known_settings(
    sources={"research": {"bucket": "research"}},
    workloads={"kinds": [{"group": "leaderworkerset.x-k8s.io", "version": "v1", "resource": "leaderworkersets"}]},
)


@dataclass(frozen=True)
class Target:
    """One target. `check` raises Violation, or any exception that must not occur."""

    inputs: st.SearchStrategy[Any]
    check: Callable[[Any], None]
    longest: float = 0.1
    """The most processor time of an input, in seconds."""


class _Catalog(Known):
    """A catalog whose bucket has no more versions than it was told of."""

    def resolve(self, request: ModelRequest) -> Resolved:
        while True:
            try:
                return super().resolve(request)
            except LookupRequired as required:
                for key in required.keys:
                    self.cache(key, VersionStatus("absent"))


_CATALOG = _Catalog(
    _SETTINGS, {"my-model": ("1.2.3", "1.2.4", "2.0.0"), "encoder": ("1.2.3",)}, {"my-model": {"champion": "1.2.3"}}
)
_ENDPOINT = MutateEndpoint(_SETTINGS, StaticCatalog(_CATALOG), Metrics())
_NOTHING: Any = None
_PUBLISHER = Publisher(_NOTHING, _NOTHING, _SETTINGS, CacheMetrics())
"""Without a folder and a worker, for what it checks before it uses them."""
_LOOP = asyncio.new_event_loop()


def _annotations(pod: JSON) -> None:
    encoded = msgspec.json.encode(pod)
    result = inject(decode(encoded), "apps", _SETTINGS, _CATALOG)
    message(result.message)
    answer = json.loads(encode_response(result))
    for warning in (*answer.get("warnings", ()), answer.get("status", {}).get("message", "")):
        message(warning)
    after = _applied(pod, result.operations)
    if result.decision == "injected":
        again = inject(decode(msgspec.json.encode(after)), "apps", _SETTINGS, _CATALOG)
        if again.operations or again.decision != "unchanged":
            raise Violation(f"a second pass is {again.decision}: {again.message} {again.operations}"[:1000])


def _applied(before: Any, operations: Sequence[Operation]) -> Any:
    patch = json.loads(msgspec.json.encode(operations))
    after = jsonpatch.apply_patch(before, patch)
    only_adds(patch, before, after)
    return after


def _reviews(body: bytes) -> None:
    status, answer = _post(body)
    if status not in (200, 400):
        raise Violation(f"status {status}: {answer[:500]!r}")
    decoded = json.loads(answer)
    if status == 400:
        message(decoded["error"])
        return
    request = json.loads(body)["request"]
    if decoded["response"]["uid"] != request["uid"]:
        raise Violation(f"the answer's uid is {decoded['response']['uid']!r}")
    for warning in decoded["response"].get("warnings", ()):
        message(warning)
    message(decoded["response"].get("status", {}).get("message", ""))
    if patch := operations(decoded):
        _applied(request["object"], patch)
    alike = body.replace(SERVICE_ACCOUNT_VOLUME.encode(), b"kube-api-access-b4b5b")
    _post(alike)  # the second of two alike pods, whose answer is remembered
    if _post(body) != (status, answer):
        raise Violation("the answer that is remembered differs from the decision")


def _post(body: bytes) -> tuple[int, bytes]:
    return _LOOP.run_until_complete(_posted(body))


async def _posted(body: bytes) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def receive() -> JSON:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event: Any) -> None:
        sent.append(event)

    await _ENDPOINT({"type": "http", "headers": []}, receive, send)
    return sent[0]["status"], sent[1]["body"]


def _manifests(body: bytes) -> None:
    try:
        outcomes = []
        for document in read(body, SERVED):
            outcomes.append(preview(document, document.namespace("apps"), _SETTINGS, _CATALOG, SERVED))
            check_models((pod for outcome in outcomes for pod in outcome.pods), SERVED)
            _applied(document.value, outcomes[-1].patch)
        rendered = {media: content(media, body, outcomes, SERVED) for media in FORMATS}
    except InjectorError as error:
        if any(isinstance(each, JsonPatchException | JsonPointerException) for each in _chain(error)):
            raise Violation(f"a patch does not apply: {error}") from error
        message(str(error))
        return
    for document in json.loads(rendered["application/json"])["documents"]:
        for text in (document["message"], document["reason"], *document["warnings"]):
            message(text)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


def _catalog_files(pair: tuple[str, bytes]) -> None:
    name, body = pair
    parsers: Mapping[str, Callable[[bytes], object]] = {
        "manifest": manifest.decode,
        "aliases": listing.parse_aliases,
        "images": images.parse_images,
        "withdrawals": withdrawals.parse_withdrawals,
    }
    try:
        parsers[name](body)
    except CatalogError as error:
        message(str(error))


def _listings(answers: list[S3Answer]) -> None:
    for text in listed(answers):
        message(text)


def _volumes(pair: tuple[dict[str, str], dict[str, str]]) -> None:
    try:
        volume = volume_of(*pair)
        _PUBLISHER._check_rules(volume)
    except Refused as error:
        message(str(error), generated_volumes.SECRET)
        return
    in_folder(Artifact(volume.model, volume.version, _SETTINGS.all_sources[volume.source]).folder)


def _versions(answers: list[S3Answer]) -> None:
    try:
        content = version(answers)
    except CatalogError as error:
        message(str(error))
        return
    for file in content.files:
        in_folder(file.path)


def _registry(answers: list[RegistryAnswer]) -> None:
    try:
        pushed(answers)
    except RegistryError as error:
        message(str(error), "secret")
    except Stopped:
        pass


def _settings(body: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        try:
            load(Path(file.name))
        except InvalidSettings as error:
            message(str(error), generated_settings.SECRET if _hides_its_secret(body) else "")


def _hides_its_secret(body: bytes) -> bool:
    """Whether the secret is where secrets are, and not in a setting or a name that messages quote."""
    try:
        document = yaml.safe_load(body)
        for entry in document.get("config", document).get("fetch", {}).get("env", ()):
            entry.pop("value", None)
    except (AttributeError, TypeError):
        return False
    except (yaml.YAMLError, ValueError, RecursionError):
        return True
    return generated_settings.SECRET not in repr(document)


TARGETS: Mapping[str, Target] = {
    "annotations": Target(annotated_pods(), _annotations),
    "reviews": Target(review_bodies, _reviews),
    "manifests": Target(manifests, _manifests),
    "catalog-files": Target(catalog_files, _catalog_files),
    "listings": Target(st.lists(s3_answers, min_size=1, max_size=8), _listings),
    "versions": Target(version_answers(), _versions),
    "volumes": Target(generated_volumes.volumes(), _volumes),
    "registry": Target(st.lists(registry_answers, min_size=1, max_size=10), _registry),
    # The operator's own file, read once at the start by the YAML parser that is written in Python.
    "settings": Target(generated_settings.settings_files, _settings, longest=1),
}
