"""Gives replicas of a workload the patch that another replica got within the last second.

The replicas of a workload are created one after the other, and the API server sends pods that differ in one name: that
of the volume with the service account's token, which is random. A decision depends on the pod, its namespace, the
settings and what the webhook has in memory, so for a moment the answer about one replica holds for the others.

The answer about the second of them is remembered, not that about the first: most pods are like no other, and would only
push each other out of the processor's caches.
"""

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple

import msgspec

from webhook.admission.result import AdmissionResult
from webhook.admission.review import AdmissionRequest

_SECONDS: Final = 1
"""How long replicas get the same answer."""
MOST: Final = 32
"""The answers that are remembered, and the pods by which a second one is noticed."""
_MOST_BYTES: Final = 64 * 1024
_TOKEN_VOLUME: Final = b"kube-api-access-"
"""ServiceAccountVolumeName in kubernetes/plugin/pkg/admission/serviceaccount. Five random characters follow it."""
_NAME_LENGTH: Final = len(_TOKEN_VOLUME) + 5
_NAMED: Final = b'"name":"%b"'
"""How the API server writes the name of a volume, also in mounts."""


class Answer(NamedTuple):
    """A decision, and what else is sent and recorded of it."""

    result: AdmissionResult
    response: bytes
    """As `encode_response` encodes it: without the request's uid."""
    label: str
    """The metrics' label `kind`."""
    name: str | None = None
    """The name of a pod. None if it has none yet, and for other objects."""
    generate_name: str | None = None


class AlikePod(NamedTuple):
    """The parts of a pod by which replicas are recognized: what they share, and the name that is random in each."""

    likeness: tuple[str, bytes]
    """The namespace, and the pod's JSON without the random part of the name of the token's volume."""
    token_volume: bytes
    """The name. Empty if there is no such volume."""


def alike_pod(request: AdmissionRequest) -> AlikePod | None:
    """The pod of a request. None if such a name occurs elsewhere, or several do: decisions may depend on them.

    Without regular expressions, which would take most of the time.
    """
    pod = bytes(request.object)
    at = pod.find(_TOKEN_VOLUME)
    if at < 0:
        return AlikePod((request.namespace, pod), b"")
    name = pod[at : at + _NAME_LENGTH]
    is_only_of_volumes = pod.count(_NAMED % name) == pod.count(_TOKEN_VOLUME) and name != request.name.encode()
    if not is_only_of_volumes or not name[len(_TOKEN_VOLUME) :].isalnum():
        return None
    return AlikePod((request.namespace, pod.replace(name, _TOKEN_VOLUME)), name)


class RecentAnswers:
    """The answers that replicas get without a decision. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._seen = deque[int](maxlen=MOST)
        self._answers: dict[tuple[str, bytes], tuple[float, Answer]] = {}

    def get(self, pod: AlikePod) -> Answer | None:
        """The answer about a pod that is alike. None if there is none of the last second."""
        if (found := self._answers.get(pod.likeness)) and self._clock() - found[0] < _SECONDS:
            return found[1]
        return None

    def put(self, pod: AlikePod, answer: Answer) -> None:
        """Remember a patch that holds for all alike pods, if this is the second of them.

        Refusals are not remembered: what their message asks for may be done within the second.
        """
        size = sum(map(len, pod.likeness)) + len(answer.response)
        if answer.result.decision != "injected" or size > _MOST_BYTES:
            return
        if (fingerprint := hash(pod.likeness)) not in self._seen:
            self._seen.append(fingerprint)
            return
        if _mentions(answer.result, pod.token_volume):
            return
        self._answers.pop(pod.likeness, None)
        self._answers[pod.likeness] = self._clock(), answer
        if len(self._answers) > MOST:
            del self._answers[next(iter(self._answers))]


def _mentions(result: AdmissionResult, name: bytes) -> bool:
    return bool(name) and name in msgspec.json.encode(result)
