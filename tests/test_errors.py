"""The tree in the docstring of webhook.errors: every error that the program raises on purpose, and where it is."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import webhook
from webhook import errors

ENTRY = re.compile(r"    ((?:│   |    )*)[├└]── (\w+)\s+(?:([a-z_]+\.[a-z_.]+\b)(?::|$))?")


def drawn() -> Iterator[tuple[str, str, str]]:
    """Name, parent and module of each error, as the docstring has it; a module holds for the entries below it."""
    path, modules = ["InjectorError"], ["errors"]
    for line in (errors.__doc__ or "").splitlines():
        if found := ENTRY.match(line):
            depth = len(found[1]) // 4 + 1
            del path[depth:], modules[depth:]
            module = found[3] or modules[-1]
            yield found[2], path[-1], f"webhook.{module}"
            path.append(found[2])
            modules.append(module)


def defined() -> Iterator[tuple[str, str, str]]:
    for module in pkgutil.walk_packages(webhook.__path__, "webhook."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting = [errors.InjectorError]
    while waiting:
        parent = waiting.pop()
        for child in parent.__subclasses__():
            if child.__module__.startswith("webhook."):
                yield child.__name__, parent.__name__, child.__module__
            waiting.append(child)


def test_the_tree_is_what_the_code_defines() -> None:
    assert sorted(drawn()) == sorted(defined())


def test_a_message_is_one_line_of_limited_length_whatever_it_quotes() -> None:
    assert str(errors.InvalidInput("two\nlines \x1b[31m")) == "two?lines ?[31m"
    longest = str(errors.InvalidInput("x" * 5000))
    assert len(longest) == 2048
    assert longest.endswith("x…")
