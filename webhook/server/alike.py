"""The answers of the last second, for pods that are alike.

The replicas of a workload are created one after the other, and the API server sends pods that differ in one name: that
of the volume with the service account's token, which is random. A decision depends on the pod, its namespace, the
settings and what the webhook has in memory, so for a moment the answer about one replica holds for the others.
"""

import re
from collections.abc import Callable
from hashlib import sha256
from time import monotonic
from typing import Final, NamedTuple

import msgspec

from webhook.admission.result import AdmissionResult
from webhook.admission.review import AdmissionRequest
from webhook.kubernetes.pod import ObjectMeta

_SECONDS: Final = 1
"""The webhook lists the catalog and reads the inventory less often, so that no answer is much older than these."""
MOST: Final = 32
"""Answers that are remembered."""
_MOST_BYTES: Final = 64 * 1024
_TOKEN_VOLUME: Final = re.compile(rb"kube-api-access-[a-z0-9]{5}")
"""ServiceAccountVolumeName in kubernetes/plugin/pkg/admission/serviceaccount, and a suffix of its name generator."""


class Answer(NamedTuple):
    """A decision, and what else is sent and recorded of it."""

    result: AdmissionResult
    response: bytes
    """As `encode_response` encodes it: without the request's uid."""
    label: str
    """The metrics' label `kind`."""
    metadata: ObjectMeta | None = None
    """Of a pod. None for other objects."""


class Likeness(NamedTuple):
    """What alike pods have in common."""

    namespace: str
    digest: bytes
    """SHA-256 of the pod's JSON, without the name of the token's volume."""


class AlikePod(NamedTuple):
    """A pod, by what it has in common with others and by what is its own."""

    likeness: Likeness
    token_volume: bytes | None


def alike_pod(request: AdmissionRequest) -> AlikePod | None:
    """The pod of a request. None if it has several volumes that are named like the token's: they could be confused."""
    pod = bytes(request.object)
    names = set(_TOKEN_VOLUME.findall(pod))
    if len(names) > 1:
        return None
    name = names.pop() if names else None
    return AlikePod(Likeness(request.namespace, sha256(pod.replace(name, b"") if name else pod).digest()), name)


class RecentAnswers:
    """The latest answers. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._answers: dict[Likeness, tuple[float, Answer]] = {}

    def get(self, pod: AlikePod) -> Answer | None:
        """The answer about a pod that is alike. None if there is none of the last second."""
        if (found := self._answers.get(pod.likeness)) and self._clock() - found[0] < _SECONDS:
            return found[1]
        return None

    def put(self, pod: AlikePod, answer: Answer) -> None:
        """Remember a patch that holds for all alike pods, and forget the oldest if there are too many.

        Refusals are not remembered: what their message asks for may be done within the second.
        """
        is_large = len(answer.response) > _MOST_BYTES
        if answer.result.decision != "injected" or is_large or _mentions(answer.result, pod.token_volume):
            return
        self._answers.pop(pod.likeness, None)
        self._answers[pod.likeness] = self._clock(), answer
        if len(self._answers) > MOST:
            del self._answers[next(iter(self._answers))]


def _mentions(result: AdmissionResult, name: bytes | None) -> bool:
    return name is not None and name in msgspec.json.encode(result)
