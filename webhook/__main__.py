"""`python -m webhook` is `model-injector`."""

from webhook.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
