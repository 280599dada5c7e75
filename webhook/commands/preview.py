"""`model-injector preview`: what the cluster would do with a manifest, decided locally or by a running webhook."""

import argparse
import asyncio
import base64
import logging
import os
import sys
import zlib
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import msgspec

from webhook.catalog.lookup.exact import ExactCatalog
from webhook.commands import remote
from webhook.commands.options import Commands, add_config
from webhook.commands.output import print_at_once, print_json, print_raw
from webhook.errors import InvalidInput, one_line
from webhook.fields.parsers import label
from webhook.preview import LOCAL, Document, DocumentPreview, Outcome, PreviewResponse, answer, manifests, preview, read
from webhook.preview.documents import decoded
from webhook.preview.errors import ManifestError
from webhook.settings import Settings
from webhook.settings.loading import InvalidSettings, load

_COLOURS: Final = {"+++": "1", "---": "1", "@@": "36", "+": "32", "-": "31"}
"""SGR parameters (terminal colours) by the beginning of a diff's line."""


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "preview",
        help="show what the cluster would do with a manifest",
        description="Show what the cluster would do with a manifest. The exit status is 0 if its pods are admitted, 1 "
        "if one is refused, and 2 after an error.",
        allow_abbrev=False,
    )
    add_config(parser)
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        metavar="FILE",
        help="a manifest, YAML or JSON, of one or more documents; - is standard input; may be given several times",
    )
    parser.add_argument(
        "-o", "--output", choices=("diff", "patch", "yaml", "json"), default="diff", help="default: diff"
    )
    parser.add_argument(
        "-n",
        "--namespace",
        help="the namespace of documents that name none; default: default, or with --server that of the kubeconfig's "
        "context",
    )
    remote.add_options(parser)
    parser.add_argument(
        "--web",
        action="store_true",
        help="open the preview page instead, served on this machine only, with the manifest if one is given",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the preview. Returns the exit status. Raises InvalidInput and InvalidSettings."""
    options.namespace = _namespace(options)
    if options.web:
        _open_page(options)
        return 0
    body = _body(options.filename or [])
    try:
        response = _request(options, body) if options.server is not None else _decide(options, body)
        _print_response(options.output, body, response)
    except ManifestError as error:
        raise InvalidInput(str(error)) from error
    for document in response.documents:
        _print_remarks(document)
    if not any(document.patch or document.decision in ("injected", "refused") for document in response.documents):
        _print_remark("nothing to inject: no pod of the manifest asks for a model, or all pods have their models")
    return 0 if all(document.allowed for document in response.documents) else 1


def _namespace(options: argparse.Namespace) -> str:
    given = options.namespace or (remote.namespace(options.context) if options.server is not None else "default")
    try:
        return label(given)
    except ValueError:
        raise InvalidInput(f"--namespace {given!r} is not a DNS label, such as default") from None


def _open_page(options: argparse.Namespace) -> None:
    """Serve the preview page on this machine, and open it in the browser, until interrupted."""
    import webbrowser  # noqa: PLC0415

    from webhook.http import log  # noqa: PLC0415 - takes half a second, and other previews do not need it
    from webhook.web import local  # noqa: PLC0415

    fragment = _fragment(_body(options.filename), options.namespace) if options.filename else ""

    def opened(url: str) -> None:
        print_at_once(f"{url} until Ctrl-C")
        webbrowser.open(url + fragment)

    log.configure(logging.WARNING)
    if options.server is not None:
        local.relay_page(remote.server(options).request, opened)
    else:
        local.serve_page(_settings(options), opened)


def _fragment(body: bytes, namespace: str) -> str:
    """The fragment of a URL that makes the page load a manifest, as in the page's own links."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = base64.urlsafe_b64encode(deflate.compress(body) + deflate.flush()).decode().rstrip("=")
    return f"#{urlencode({'m': packed, 'n': namespace})}"


def _body(files: list[str]) -> bytes:
    if not files:
        raise InvalidInput("nothing to preview: give -f FILE, or -f - for standard input")
    parts = []
    for file in files:
        try:
            parts.append(decoded(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()))
        except OSError as error:
            raise InvalidInput(f"{file}: {error.strerror}") from error
        except ManifestError as error:
            raise InvalidInput(f"{file}: {error}") from error
    return "\n---\n".join(parts).encode()


def _request(options: argparse.Namespace, body: bytes) -> PreviewResponse:
    documents = read(body, LOCAL)  # an invalid manifest is not sent
    content = remote.preview(remote.server(options), body, options.namespace)
    try:
        response = msgspec.json.decode(content, type=PreviewResponse)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise InvalidInput(f"the server's response is not a preview: {error}") from error
    if [document.kind for document in response.documents] != [document.kind for document in documents]:
        raise InvalidInput("the server's response is about another manifest")
    return response


def _decide(options: argparse.Namespace, body: bytes) -> PreviewResponse:
    settings, documents = _settings(options), read(body, LOCAL)
    if settings.catalog.mode == "none":
        catalog = ExactCatalog(settings)
        outcomes = [
            preview(document, document.namespace(options.namespace), settings, catalog, LOCAL) for document in documents
        ]
    else:
        outcomes = _decide_with_s3(documents, options.namespace, settings)
    return answer(body, outcomes, LOCAL)


def _settings(options: argparse.Namespace) -> Settings:
    try:
        return load(options.config)
    except InvalidSettings as error:
        if options.config:
            raise
        hint = "give --config FILE with the settings or the chart's values, or ask a running webhook with --server"
        raise InvalidSettings(f"{error}; {hint}") from error


def _decide_with_s3(documents: list[Document], namespace: str, settings: Settings) -> list[Outcome]:
    """Decide as a webhook that has just started: if S3 does not answer, exact versions are accepted unchecked."""
    from webhook.catalog.live import BlockingCatalog, settle  # noqa: PLC0415 - slow, and only needed here
    from webhook.catalog.lookup.s3 import S3Catalog  # noqa: PLC0415

    async def decide(live: BlockingCatalog) -> list[Outcome]:
        return [
            await settle(partial(preview, document, document.namespace(namespace), settings, limits=LOCAL), live)
            for document in documents
        ]

    with closing(S3Catalog(settings)) as catalog:
        return asyncio.run(decide(BlockingCatalog(catalog, catalog.sources, needs_s3=False)))


def _print_response(output: str, body: bytes, response: PreviewResponse) -> None:
    if output == "json":
        print_json(response)
    elif output == "yaml":
        print_raw(manifests(body, response, LOCAL))
    elif output == "diff":
        diff = "".join(f"{one_line(line.expandtabs())}\n" for line in response.diff.split("\n")[:-1])
        print_raw(_coloured(diff) if _has_colours() else diff)
    elif len(response.documents) == 1:
        print_json(response.documents[0].patch)
    else:
        named = ("apiVersion", "kind", "name", "namespace", "patch")
        whole = msgspec.to_builtins(response)["documents"]
        print_json([{name: document[name] for name in named} for document in whole])


def _has_colours() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _coloured(diff: str) -> str:
    lines = []
    for line in diff.splitlines(keepends=True):
        colour = next((colour for start, colour in _COLOURS.items() if line.startswith(start)), None)
        text = line.rstrip("\n")
        lines.append(f"\033[{colour}m{text}\033[m\n" if colour else line)
    return "".join(lines)


def _print_remarks(document: DocumentPreview) -> None:
    """Print the refusals and warnings of a document on standard error."""
    name = "/".join(filter(None, (document.kind, document.namespace, document.name)))
    several = len(document.pods) > 1
    refused = [(pod.path, pod.message) for pod in document.pods if pod.message] if several else [("", document.message)]
    remarks = [f"refused: {message}{f' ({path})' * several}" for path, message in refused if message]
    remarks += [f"warning: {warning}" for warning in document.warnings]
    for remark in remarks:
        _print_remark(f"{name}: {remark}")


def _print_remark(text: str) -> None:
    print(one_line(text), file=sys.stderr)  # noqa: T201
