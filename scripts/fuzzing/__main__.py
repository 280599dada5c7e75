"""Tries generated inputs on everything that reads from outside, for minutes.

Each target gets an equal part of the time. An input must not crash the program, give a status 5xx, a patch that does
not apply or that changes what was there, a message of several lines, of unlimited length or with a secret, or take more
than 0.1 s of processor time (1 s for a settings file). An input that does is reduced to a small one, and printed.
"""

import argparse
import logging
import os
import signal
import sys
import time
import traceback
import warnings
from itertools import count
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings

from fuzzing.checks import in_time
from fuzzing.targets import TARGETS, Target

_BATCH, _FEW = 100, 20
"""Examples between two looks at the clock; and all examples of a target with `--minutes 0`."""
_LONGEST_SHOWN = 4000


class Result(NamedTuple):
    """What came of a target. `failure` is empty if every input passed."""

    examples: int
    seconds: float
    failure: str


def main() -> int:
    options = _options()
    logging.disable()
    warnings.simplefilter("error")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        os.environ[name] = os.devnull
    os.environ["DOCKER_CONFIG"] = "/nowhere"
    names = options.targets or list(TARGETS)
    failed = False
    print("target            examples   a second")
    for name in names:
        result = run(
            TARGETS[name], options.minutes * 60 / len(names), options.seed, _BATCH if options.minutes else _FEW
        )
        failed |= bool(result.failure)
        rate = result.examples / result.seconds
        print(f"{name:16} {result.examples:9} {rate:10.0f}{result.failure and '   failed'}", flush=True)
        if result.failure:
            print(result.failure, flush=True)
    return int(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__.splitlines()[0])
    names = ", ".join(TARGETS)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{names}; default: all of them")
    parser.add_argument(
        "--minutes", type=float, default=8, help="how long all targets take together (8); 0 for a few inputs of each"
    )
    parser.add_argument("--seed", type=int, default=time.time_ns() // 10**9, help="for the same inputs again")
    options = parser.parse_args()
    if not options.minutes >= 0:
        parser.error("--minutes has to be 0 or more")
    if unknown := [name for name in options.targets if name not in TARGETS]:
        parser.error(f"unknown target {unknown[0]}; there are {names}")
    return options


def run(target: Target, seconds: float, first_seed: int = 0, batch: int = _BATCH) -> Result:
    """Try inputs for so many seconds, and at least one batch of them."""
    examples, last, has_failed = 0, list[Any](), False

    def check(value: Any) -> None:
        nonlocal examples, has_failed
        examples += 1
        last[:] = [value]
        try:
            in_time(target.check, value, target.longest)
        except Exception:
            if not has_failed:
                print("an input fails; a smaller one is sought, for minutes if each is slow", file=sys.stderr)
            has_failed = True
            raise

    configured = settings(
        max_examples=batch,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    begun = time.monotonic()
    for number in count(first_seed):
        try:
            seed(number)(configured(given(target.inputs)(check)))()
        except Exception as error:  # noqa: BLE001 - every kind is what is looked for
            return Result(examples, time.monotonic() - begun, _described(error, last[0], number))
        if time.monotonic() - begun > seconds:
            return Result(examples, time.monotonic() - begun, "")
    raise AssertionError("count() does not end")


def _described(error: Exception, value: Any, number: int) -> str:
    """The smallest input that fails, which hypothesis has run last, and how it fails."""
    shown = repr(value)
    where = "".join(traceback.format_tb(error.__traceback__)[-4:])
    return f"  input: {shown[:_LONGEST_SHOWN]}\n  seed: {number}\n{where}{type(error).__name__}: {error}"[
        : 2 * _LONGEST_SHOWN
    ]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # raises, so that no file is left behind
    raise SystemExit(main())
