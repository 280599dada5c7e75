"""Clients of services of AWS. boto3 is imported when the first one is created."""

import threading
from functools import cache
from typing import Any, Final

_creating: Final = threading.Lock()
"""Held to create a client: threads that do that at once would each read the descriptions of all services."""


def create_client(service: str, **options: Any) -> Any:
    """boto3's client of a service. Raises the errors of botocore.

    Each has a session of its own, because sessions are not thread-safe. All share the descriptions of the services,
    which take 12 MiB and 0.1 s to load.
    """
    import boto3  # noqa: PLC0415
    import botocore.session  # noqa: PLC0415

    with _creating:
        core = botocore.session.get_session()
        core.register_component("data_loader", _descriptions())
        return boto3.session.Session(botocore_session=core).client(service, **options)


@cache
def _descriptions() -> Any:
    import botocore.loaders  # noqa: PLC0415

    return botocore.loaders.create_loader()
