"""Constants that the client and the server of a preview share."""

from typing import Final

AUDIENCE: Final = "model-injector"
"""The audience of tokens that are valid for previews only. The server also accepts tokens with the API server's default
audience, because those are the tokens in kubeconfig files."""
TOKEN_HEADER: Final = "X-Model-Injector-Token"  # noqa: S105 - a header's name
"""An alternative to `Authorization`, because the API server's proxy consumes that header."""
