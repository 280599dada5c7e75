"""Changing aliases."""

from collections.abc import Callable

from webhook.catalog.bucket.folders import ALIASES
from webhook.catalog.bucket.listing import LARGEST_ALIASES, parse_aliases
from webhook.catalog.bucket.store import Store
from webhook.catalog.publishing import changing


def change(store: Store, model: str, edit: Callable[[dict[str, str]], None]) -> dict[str, str]:
    """Change the aliases of a model, and return the new ones. Raises CatalogError.

    `edit` changes a map from aliases to versions in place, or raises. It is called again after a conflict.
    """
    return changing.change(store, f"{ALIASES}/{model}.json", LARGEST_ALIASES, parse_aliases, edit)
