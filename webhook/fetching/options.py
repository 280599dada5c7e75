"""What a pod may say about the download of a model, with the annotations that say it."""

from decimal import Decimal
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from webhook.fields.annotation import Annotation
from webhook.fields.parsers import duration, label, one_of, quantity, size
from webhook.fields.types import Verification

Medium: TypeAlias = Literal["disk", "memory"]


class FetchOptions(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """How one model is downloaded. Quantities keep the user's spelling."""

    volume: str | None = None
    """The name of a volume of the pod's own. None: an emptyDir that the webhook adds."""
    medium: Medium = "disk"
    size_limit: Decimal | None = None
    """Bytes. None: the size that the catalog knows, with some headroom."""
    verify: Verification
    timeout: int
    """Seconds."""
    fetch_cpu_request: str | None
    fetch_cpu_limit: str | None
    fetch_memory_request: str | None
    fetch_memory_limit: str | None


VERIFY: Final = Annotation(
    name="verify",
    allowed=" or ".join(get_args(Verification)),
    setting="defaults.verify",
    meaning="How the download is checked: `size` counts files and bytes, `sha256` also checks SHA256SUMS, `none` "
    "does not compare with what the catalog recorded.",
    parse=one_of(*get_args(Verification)),
)
ANNOTATIONS: Final = (
    Annotation(
        name="volume",
        allowed="the name of one of the pod's volumes",
        default="an emptyDir that the webhook adds",
        meaning="Download into this volume of the pod's own. Files that are complete there are not fetched again.",
        parse=label,
    ),
    Annotation(
        name="medium",
        allowed="disk or memory",
        default="disk",
        meaning="Where the added emptyDir keeps the files.",
        parse=one_of(*get_args(Medium)),
        without="volume",
    ),
    Annotation(
        name="size-limit",
        allowed="a quantity of bytes, such as 20Gi",
        default="the size that the catalog knows, and fetch.sizeHeadroom percent more",
        meaning="The most that the model may take of the added emptyDir. The scheduler chooses a node with that much.",
        parse=size,
        without="volume",
    ),
    VERIFY,
    Annotation(
        name="timeout",
        allowed="a duration of at most a week, such as 30m, 1h30m or 1d",
        setting="fetch.timeout",
        meaning="How long the download may take, retries included.",
        parse=duration,
    ),
    *(
        Annotation(
            name=f"fetch-{resource}-{kind}",
            allowed=f"a quantity, such as {example}",
            setting=f"fetch.resources.{kind}s.{resource}",
            meaning=f"The {resource} {kind} of the init container.",
            parse=quantity,
        )
        for resource, example in (("cpu", "500m"), ("memory", "256Mi"))
        for kind in ("request", "limit")
    ),
)
