"""The webhook with a fault in it: previews meet an error that says what they hold."""

import sys

from webhook.cli import main
from webhook.web import preview as under_test


def broken(document: object, *_: object, **__: object) -> None:
    raise RuntimeError(f"this can't be: {document}")


if __name__ == "__main__":
    setattr(under_test, "preview", broken)  # noqa: B010 - it is not for others to set
    sys.exit(main())
