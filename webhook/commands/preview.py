"""`model-injector preview`: what the cluster would do with a manifest, decided here or asked of a webhook."""

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
from webhook.commands.output import say_at_once, say_json, say_raw
from webhook.errors import InvalidInput, one_line
from webhook.fields.parsers import label
from webhook.preview import LOCAL, Document, DocumentPreview, Outcome, PreviewResponse, answer, manifests, preview, read
from webhook.preview.errors import ManifestError
from webhook.settings import Settings
from webhook.settings.loading import InvalidSettings, load

_COLOURS: Final = {"+++": "1", "---": "1", "@@": "36", "+": "32", "-": "31"}
"""Of a diff's lines, by how they begin: SGR parameters."""


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "preview",
        help="what the cluster would do with a manifest",
        description="What the cluster would do with a manifest. The exit status is 0 where its pods are admitted, 1 "
        "where one is refused, and 2 where the manifest or the settings are invalid.",
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
        help="of documents that name none; default: default, or with --server that of the kubeconfig's context",
    )
    remote.add_options(parser)
    parser.add_argument(
        "--web",
        action="store_true",
        help="open the page instead, on this machine alone, with the manifest if there is one",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what was asked for, and say whether all is admitted. Raises InvalidInput and InvalidSettings."""
    options.namespace = _namespace(options)
    if options.web:
        _open_page(options)
        return 0
    body = _body(options.filename or [])
    try:
        found = _asked(options, body) if options.server is not None else _decided(options, body)
        _say(options.output, body, found)
    except ManifestError as error:
        raise InvalidInput(str(error)) from error
    for document in found.documents:
        _remark(document)
    if not any(document.patch or document.message for document in found.documents):
        _tell("nothing to do: no pod here asks for a model, or all have theirs")
    return 0 if all(document.allowed for document in found.documents) else 1


def _namespace(options: argparse.Namespace) -> str:
    given = options.namespace or (remote.namespace(options.context) if options.server is not None else "default")
    try:
        return label(given)
    except ValueError:
        raise InvalidInput(f"--namespace {given!r}: a DNS label, such as default") from None


def _open_page(options: argparse.Namespace) -> None:
    """Serve the page here, and show it, until interrupted."""
    import webbrowser  # noqa: PLC0415

    from webhook.http import log  # noqa: PLC0415 - half a second that a preview need not wait for
    from webhook.web import local  # noqa: PLC0415

    fragment = _fragment(_body(options.filename), options.namespace) if options.filename else ""

    def opened(url: str) -> None:
        say_at_once(f"{url} until Ctrl-C")
        webbrowser.open(url + fragment)

    log.configure(logging.WARNING)
    if options.server is not None:
        local.relay_page(remote.server(options).request, opened)
    else:
        local.serve_page(_settings(options), opened)


def _fragment(body: bytes, namespace: str) -> str:
    """What makes the page begin with a manifest, as in the links that it makes itself."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = base64.urlsafe_b64encode(deflate.compress(body) + deflate.flush()).decode().rstrip("=")
    return f"#{urlencode({'m': packed, 'n': namespace})}"


def _body(files: list[str]) -> bytes:
    if not files:
        raise InvalidInput("nothing to preview: give -f FILE, or -f - for standard input")
    parts = []
    for file in files:
        try:
            parts.append(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
        except OSError as error:
            raise InvalidInput(f"{file}: {error.strerror}") from error
    return parts[0] if len(parts) == 1 else b"\n---\n".join(part.removeprefix(b"\xef\xbb\xbf") for part in parts)


def _asked(options: argparse.Namespace, body: bytes) -> PreviewResponse:
    documents = read(body, LOCAL)  # an invalid manifest is not sent
    content = remote.preview(remote.server(options), body, options.namespace)
    try:
        found = msgspec.json.decode(content, type=PreviewResponse)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise InvalidInput(f"the server's answer is not a preview: {error}") from error
    if [each.kind for each in found.documents] != [each.kind for each in documents]:
        raise InvalidInput("the server's answer is not about this manifest")
    return found


def _decided(options: argparse.Namespace, body: bytes) -> PreviewResponse:
    settings, documents = _settings(options), read(body, LOCAL)
    if settings.catalog.mode == "none":
        catalog = ExactCatalog(settings)
        outcomes = [preview(each, each.namespace(options.namespace), settings, catalog, LOCAL) for each in documents]
    else:
        outcomes = _decided_with_s3(documents, options.namespace, settings)
    return answer(body, outcomes, LOCAL)


def _settings(options: argparse.Namespace) -> Settings:
    try:
        return load(options.config)
    except InvalidSettings as error:
        if options.config:
            raise
        hint = "give --config FILE, the installation's settings or its chart's values, or ask it with --server"
        raise InvalidSettings(f"{error}; {hint}") from error


def _decided_with_s3(documents: list[Document], namespace: str, settings: Settings) -> list[Outcome]:
    """As a webhook that has just started: where S3 does not answer, exact versions are taken on trust."""
    from webhook.catalog.live import BlockingCatalog, settle  # noqa: PLC0415 - exact versions need not wait for it
    from webhook.catalog.lookup.s3 import S3Catalog  # noqa: PLC0415

    async def decided(live: BlockingCatalog) -> list[Outcome]:
        return [
            await settle(partial(preview, document, document.namespace(namespace), settings, limits=LOCAL), live)
            for document in documents
        ]

    with closing(S3Catalog(settings)) as catalog:
        return asyncio.run(decided(BlockingCatalog(catalog, catalog.sources, needs_s3=False)))


def _say(output: str, body: bytes, found: PreviewResponse) -> None:
    if output == "json":
        say_json(found)
    elif output == "yaml":
        say_raw(manifests(body, found, LOCAL))
    elif output == "diff":
        diff = "".join(f"{one_line(line.expandtabs())}\n" for line in found.diff.split("\n")[:-1])
        say_raw(_coloured(diff) if _is_colourful() else diff)
    elif len(found.documents) == 1:
        say_json(found.documents[0].patch)
    else:
        named = ("apiVersion", "kind", "name", "namespace", "patch")
        whole = msgspec.to_builtins(found)["documents"]
        say_json([{name: document[name] for name in named} for document in whole])


def _is_colourful() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _coloured(diff: str) -> str:
    lines = []
    for line in diff.splitlines(keepends=True):
        colour = next((colour for start, colour in _COLOURS.items() if line.startswith(start)), None)
        text = line.rstrip("\n")
        lines.append(f"\033[{colour}m{text}\033[m\n" if colour else line)
    return "".join(lines)


def _remark(document: DocumentPreview) -> None:
    """What a person should know of a document, on standard error: refusals and warnings."""
    name = "/".join(filter(None, (document.kind, document.namespace, document.name)))
    several = len(document.pods) > 1
    refused = [(pod.path, pod.message) for pod in document.pods if pod.message] if several else [("", document.message)]
    remarks = [f"refused: {message}{f' ({path})' * several}" for path, message in refused if message]
    remarks += [f"warning: {warning}" for warning in document.warnings]
    for remark in remarks:
        _tell(f"{name}: {remark}")


def _tell(text: str) -> None:
    print(one_line(text), file=sys.stderr)  # noqa: T201
