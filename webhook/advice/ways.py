"""All ways, in the order in which they are preferred if they are equal in everything else."""

from typing import Final

from webhook.advice.image_ways import APPLICATION_IMAGE, DOCKER_WAYS
from webhook.advice.kubernetes_ways import KUBERNETES_WAYS
from webhook.advice.way import Way

WAYS: Final[tuple[Way, ...]] = (*KUBERNETES_WAYS, APPLICATION_IMAGE, *DOCKER_WAYS)
