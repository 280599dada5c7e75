"""The root of the errors that this program raises on purpose. Each error is defined beside the code that raises it.

    InjectorError
    ├── InvalidInput               a command got an argument or a file that it cannot use: exit status 2
    ├── OutputFailed               commands.output: standard output cannot be written; exit status 2
    ├── InvalidSettings            settings.loading: the process does not start; exit status 2
    ├── Refusal                    model.refusals: the pod cannot be admitted as it is: `allowed: false`, code 422
    │   ├── InvalidAnnotation      an annotation has an invalid value
    │   ├── Conflict               the pod already uses a name or a path that the injection needs
    │   ├── StrategyUnavailable    strategies.strategy: no strategy that the pod asks for can deliver the model
    │   ├── UnknownModel           catalog.resolution: the catalog has no such model
    │   │   ├── UnknownVersion     the catalog has the model, and no such version of it
    │   │   ├── Unpublished        the upload was not finished, or the required tag is missing
    │   │   ├── Incomplete         objects differ from what the manifest lists
    │   │   ├── Archived           objects have to be restored from an archive first
    │   │   ├── Withdrawn          the version was withdrawn: no pod gets it any more
    │   │   └── NoAccess           S3 denies the webhook access to the version
    │   └── Forbidden              admission.rules: a rule of the settings forbids it
    ├── InvalidObject              kubernetes.decoding: JSON without the fields that its kind has
    ├── ObjectTooLarge             kubernetes.unstructured: an object of any kind exceeds a limit
    ├── ManifestError              preview.errors
    │   ├── InvalidManifest        the text is not a Kubernetes manifest
    │   └── ManifestTooLarge       the manifest exceeds a limit of the preview
    ├── RequestError               http.errors: an HTTP request that is answered with 4xx or 503
    │   ├── BodyTooLarge           413
    │   ├── TooManyRequests        429
    │   ├── Busy                   503: the server is at its limit
    │   │   └── Unavailable        web.access: a service that the answer depends on does not respond
    │   ├── NotAuthenticated       web.access: 401
    │   ├── NotAllowed             web.access: 403
    │   └── NotAcceptable          web.negotiation: 406
    ├── CatalogError               catalog.bucket.errors: S3 failed, or holds something unexpected; exit status 1
    │   ├── NotFound               404
    │   ├── Denied                 403, or no credentials
    │   ├── PreconditionFailed     409 or 412: the object changed since it was read
    │   ├── Unreachable            no answer, or a temporary one: 5xx, throttled
    │   ├── Unsupported            the store does not implement a part of S3
    │   ├── TooLarge               an object, or a listing, is larger than the caller can take
    │   ├── _Busy                  node_cache.peers: a peer sends as much as it may to others
    │   ├── Corrupt                node_cache.download: a file differs from the manifest
    │   ├── Abandoned              node_cache.download: another part of the download has failed
    │   ├── Changed                node_cache.versions: the version was published again with other files
    │   ├── Unverifiable           node_cache.versions: it has neither hashes nor ETags to compare with
    │   └── AlreadyPublished       catalog.publishing.publish: the version exists, and versions never change
    ├── RegistryError              images.connection: a registry of images refused, or answers what cannot be used
    │   └── RegistryUnreachable    it did not answer, or reported a temporary error
    ├── ClusterError               kubernetes.client: the API server is missing, or its answer is unusable
    │   ├── Expired                controller.cluster.watching: a list or a watch has to begin again
    │   └── StepFailed             controller.cluster.acting: it refused a step of the controller
    ├── NoRoom                     node_cache.budget: a version does not fit into the cache
    ├── FolderLost                 node_cache.folder: the cache's folder was deleted
    ├── Refused                    node_cache.refusals: the worker, or the driver, refused a request
    ├── Replaced                   node_cache.listening: another driver listens on the socket
    ├── Unresolved                 node_cache.references: a reference means no version that can be read
    └── AssociationError           aws.pod_identity: EKS did not associate a role with a service account

A message says what happened, names the value, and says what to do. Its reader is the person who fixes the fault.
"""

import re
from typing import Final

_SHOWN: Final = 120
_LONGEST: Final = 2048
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def shown(value: str) -> str:
    """A user's text as a message may carry it: quoted, control characters escaped, at most 120 characters."""
    return repr(value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…")


def one_line(text: str) -> str:
    """Text with each control character replaced, so that it cannot end a line of a log or steer a terminal."""
    return _CONTROL.sub("?", text)


class InjectorError(Exception):
    """The root: every error below it is expected, and its text may be shown to a user.

    The text is one line of at most 2048 characters, whatever it quotes from a file, a server or a user.
    """

    def __str__(self) -> str:
        text = one_line(super().__str__())
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


class InvalidInput(InjectorError):
    """A command got an argument or a file that it cannot use. The message says what to give instead."""
