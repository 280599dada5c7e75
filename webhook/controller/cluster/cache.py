"""The collections that the areas of the controller watch. Areas that need the same one share it."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from threading import Event, Thread
from time import monotonic
from typing import Any

from webhook.controller.cluster.watching import Collection, Watch
from webhook.controller.observed import Key
from webhook.controller.steps import Resource
from webhook.kubernetes.client import ClusterError, KubernetesClient


class Cache:
    """Collections by resource and namespace. The namespace is empty for one of the whole cluster."""

    def __init__(self, api: KubernetesClient) -> None:
        self._api = api
        self._collections: dict[tuple[str, str], Collection] = {}
        self._listeners: dict[tuple[str, str], list[Callable[[], None]]] = {}

    def watch(self, watch: Watch, changed: Callable[[], None]) -> None:
        """Have what `watch` names. `changed` is called after each change."""
        name = _name(watch)
        listeners = self._listeners.setdefault(name, [])
        listeners.append(changed)
        if name not in self._collections:
            self._collections[name] = Collection(self._api, watch, partial(_call, listeners))

    def start(self, stopped: Event) -> None:
        """Keep the collections current, in threads that end with the process."""
        for each in self._collections.values():
            Thread(target=each.run, args=(stopped,), daemon=True).start()

    def read(self) -> None:
        """List each collection once. Raises ClusterError."""
        for each in self._collections.values():
            try:
                each.refresh()
            except ClusterError:
                if not each.is_read:
                    raise

    def is_read(self, watches: Iterable[Watch]) -> bool:
        """Whether these were listed."""
        return all(self._collections[_name(each)].is_read for each in watches)

    def objects(self, resource: Resource) -> Mapping[Key, Any]:
        """The objects of a resource in all namespaces that are watched; empty for a resource that is not."""
        found: dict[Key, Any] = {}
        for (plural, _), each in self._collections.items():
            if plural == resource.plural:
                found.update(each.objects())
        return found

    def written(self, resource: Resource, namespace: str, content: bytes) -> None:
        """Take over an object that the API server returned for a write. Raises MsgspecError if it is none."""
        for name in ((resource.plural, namespace), (resource.plural, "")):
            if name in self._collections:
                self._collections[name].written(content)

    def ages(self) -> Mapping[str, Callable[[], float]]:
        """For each collection, a function that returns the seconds since the API server last sent something."""
        return {"/".join(filter(None, name)): partial(_age, each) for name, each in self._collections.items()}


def _name(watch: Watch) -> tuple[str, str]:
    return watch.resource.plural, watch.namespace


def _call(listeners: Iterable[Callable[[], None]]) -> None:
    for listener in listeners:
        listener()


def _age(collection: Collection) -> float:
    return monotonic() - collection.heard_at
