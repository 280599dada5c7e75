"""The webhook with a document that takes a minute to be read."""

import sys
import time

from webhook.cli import main
from webhook.web import preview as under_test


def slow(*_: object) -> None:
    time.sleep(60)


if __name__ == "__main__":
    setattr(under_test, "read", slow)  # noqa: B010 - it is not for others to set
    sys.exit(main())
