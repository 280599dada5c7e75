"""The webhook with a document that takes a minute to be read, and with one second for requests when it stops.

The worker process that reads it writes its id to the file that the variable READING names.
"""

import os
import sys
import time
from pathlib import Path

from webhook.cli import main
from webhook.http import serving
from webhook.web import preview as under_test


def slow(*_: object) -> None:
    Path(os.environ["READING"]).write_text(f"{os.getpid()}\n")
    time.sleep(60)


if __name__ == "__main__":
    setattr(serving, "_IN_FLIGHT_SECONDS", 1)  # noqa: B010 - it is not for others to set
    setattr(under_test, "read", slow)  # noqa: B010 - it is not for others to set
    sys.exit(main())
