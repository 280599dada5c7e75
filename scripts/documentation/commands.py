"""The page about commands, from the parsers of the program."""

import argparse
import html
import re
from collections.abc import Iterator

from webhook import cli

_PAGE = """# Commands

The program is `model-injector`. As `kubectl model-injector` it is a plugin of kubectl. Each command explains itself
with `--help`. The exit status is 0; 1 if the command failed; 2 if its input is invalid, or after an internal error.

{commands}
"""


def commands_page() -> str:
    """The page, in Markdown."""
    leaves = commands()
    overview = "\n".join(f"| [`{name}`](#{_anchor(name)}) | {text} |" for name, text, _ in leaves)
    sections = "\n\n".join(_section(*leaf) for leaf in leaves)
    return _PAGE.replace("{commands}", f"| command | what it does |\n| --- | --- |\n{overview}\n\n{sections}")


def commands() -> list[tuple[str, str, argparse.ArgumentParser]]:
    """The name, the short description and the parser of each command that does something."""
    return list(_leaves(cli.parser(), "model-injector", ""))


def _leaves(
    parser: argparse.ArgumentParser, name: str, text: str
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """The commands that do something, each with its short description."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield name, text, parser
    for group in groups:
        texts = {choice.dest: choice.help or "" for choice in group._choices_actions}
        for action, child in group.choices.items():
            yield from _leaves(child, f"{name} {action}", texts.get(action, ""))


def _section(name: str, _text: str, parser: argparse.ArgumentParser) -> str:
    arguments = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    rows = "\n".join(f"| {_syntax(action)} | {_meaning(action, parser)} |" for action in arguments)
    table = f"\n\n| argument | meaning |\n| --- | --- |\n{rows}" if rows else ""
    description = " ".join((parser.description or "").split())
    return f"## {name}\n\n{_quoted(description)}{table}"


def _syntax(action: argparse.Action) -> str:
    """How an argument is written, such as `--output FORMAT`."""
    value = _value_of(action)
    if not action.option_strings:
        return f"`{value}`"
    return ", ".join(f"`{f'{option} {value}'.strip()}`" for option in action.option_strings)


def _value_of(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    name = action.metavar if isinstance(action.metavar, str) else ""
    name = name or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    name = (
        f"{{{name.replace('|', ',')}}}" if "|" in name else name
    )  # as argparse writes it; | would begin the next cell
    return {"?": f"[{name}]", "*": f"[{name} …]", "+": f"{name} …"}.get(str(action.nargs), name)


def _meaning(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    text = " ".join((action.help or "").split())
    values = {**vars(action), "prog": parser.prog}
    text = text % {key: value for key, value in values.items() if value is not argparse.SUPPRESS} if text else ""
    required = "required" if action.required and action.option_strings else ""
    return _quoted("; ".join(filter(None, (text, required))))


def _quoted(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([*_])", r"\\\1", html.escape(text, quote=False).replace("|", "&#124;"))


def _anchor(name: str) -> str:
    return name.replace(" ", "-")
