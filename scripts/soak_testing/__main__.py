"""Runs two replicas of the webhook under load while things go wrong around them, and checks every answer.

Two real replicas serve TLS on loopback, with certificates of their own CA, which they replace every minute or so. 16
clients ask them on kept connections, as an API server does. An S3 server stands behind a proxy that makes faults. The
disturbances take turns; each answer must be the expected one. Prints the figures, and ends with 1 if a request was lost
or an answer was wrong.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from typing import Any, cast

from output_file import writable
from soak_testing.disturbances import DISTURBANCES, Stage, check_clocks
from soak_testing.load import CLIENTS, Client, Phase, Tally
from soak_testing.plot import plot
from soak_testing.requests import BUCKET, PREFIX, cases, make_bucket
from soak_testing.service import SLOTS, Service, certificates, register
from tests.support import programs, rclone
from tests.support.api_server import running_api_server
from tests.support.faulty_proxy import FaultyProxy
from webhook.settings import Settings

_LONGEST_TURN = 30
"""Seconds that a disturbance lasts at most. In a long soak, all of them take turns again."""
_CA_LIFETIME = 90


def main() -> int:
    options = _options()
    try:
        with ExitStack() as stack:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="model-injector-soak-")))
            result = asyncio.run(_soak(stack, work, options.minutes * 60, options.disturbances or list(DISTURBANCES)))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 130
    except (programs.MissingProgram, RuntimeError) as error:
        print(f"scripts/soak: {error}", file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    if options.plot:
        options.plot.write_text(plot(result))
    print(summary(result))
    return 1 if result["lost"] or result["wrong"] or result["unexpected"] else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__.splitlines()[0])
    names = ", ".join(DISTURBANCES)
    parser.add_argument("disturbances", nargs="*", metavar="DISTURBANCE", help=f"{names}; default: all of them")
    parser.add_argument("--minutes", type=float, default=5, help="how long the disturbances take together (5)")
    parser.add_argument("--json", type=writable, metavar="FILE", help="write all figures there")
    parser.add_argument("--plot", type=writable, metavar="FILE", help="write a plot there, as SVG")
    options = parser.parse_args()
    if not options.minutes > 0:
        parser.error("--minutes has to be more than 0")
    if unknown := [name for name in options.disturbances if name not in DISTURBANCES]:
        parser.error(f"unknown disturbance {unknown[0]}; there are {names}")
    return options


async def _soak(stack: ExitStack, work: Path, seconds: float, names: Sequence[str]) -> dict[str, Any]:
    """Run everything; returns the result."""
    for number in (signal.SIGTERM, signal.SIGINT):  # the replicas must end too
        asyncio.get_running_loop().add_signal_handler(number, cast("asyncio.Task[Any]", asyncio.current_task()).cancel)
    (work / "kube").mkdir()
    make_bucket(work / "s3")
    s3 = stack.enter_context(FaultyProxy(stack.enter_context(rclone.serve(work / "s3", work / "s3.log"))))
    api = stack.enter_context(running_api_server())
    register(api)
    keys = {"AWS_ACCESS_KEY_ID": rclone.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": rclone.SECRET_KEY}
    os.environ.update(keys)
    admission = {
        "bucket": BUCKET,
        "prefix": PREFIX,
        "region": "us-east-1",
        "endpointUrl": s3.url,
        "catalog": {"mode": "s3", "preflight": "enforce", "refreshSeconds": 2, "required": True},
    }
    requests = await asyncio.to_thread(lambda: cases(Settings.model_validate(admission)))
    settings = {**admission, "certificates": certificates(_CA_LIFETIME), "server": {"tlsPoll": 1, "drain": 3}}
    service = Service(work, api, settings, {**keys, "KUBECONFIG": str(api.kubeconfig(work / "kube"))})
    stack.callback(service.close)
    tally = Tally()
    check_clocks(s3)
    for slot in SLOTS:
        service.set_clock(slot, 0)
    following = asyncio.create_task(service.follow())
    try:
        await asyncio.gather(*map(service.start, SLOTS))
        await _disturb(Stage(service, s3, tally, requests), seconds, names)
    finally:
        following.cancel()
        await service.stop()
    if service.now > _CA_LIFETIME and not service.bundles[1:]:
        tally.wrong.append("the replicas have not replaced their CA")
    return _result(service, tally)


async def _disturb(stage: Stage, seconds: float, names: Sequence[str]) -> None:
    """Let the disturbances take turns while clients send requests."""
    over, tally, service = asyncio.Event(), stage.tally, stage.service
    turn = min(seconds / len(names), _LONGEST_TURN)
    begun = service.now
    tally.begin(names[0], begun)
    clients = [asyncio.create_task(Client(service, tally).run(stage.cases, over)) for _ in range(CLIENTS)]
    for index, name in enumerate(cycle(names)):
        if index >= len(names) and service.now - begun + turn > seconds:
            break
        if index:
            tally.begin(name, service.now)
        await DISTURBANCES[name](stage, turn)
    tally.end(service.now)
    over.set()
    await asyncio.gather(*clients)


def _result(service: Service, tally: Tally) -> dict[str, Any]:
    last = int(tally.phases[-1].ended)
    return {
        "seconds": round(tally.phases[-1].ended, 1),
        "processors": len(os.sched_getaffinity(0)),
        "clients": CLIENTS,
        "connections": tally.connections,
        "requests": sum(phase.requests for phase in tally.phases),
        "malformed": tally.malformed,
        "lost": tally.lost,
        "wrong": tally.wrong,
        "unexpected": service.unexpected(),
        "authorities": [round(at, 1) for at, _ in service.bundles[1:]],
        "disturbances": [_figures(phase) for phase in tally.phases],
        "requestsPerSecond": [tally.per_second[second] for second in range(last)],
        "memory": [
            {
                "process": series.name,
                "slopeMibPerHour": series.slope,
                "samples": [(round(at, 1), round(mib, 2)) for at, mib in series.samples],
            }
            for series in service.memory.values()
        ],
    }


def _figures(phase: Phase) -> dict[str, Any]:
    ordered = sorted(phase.seconds) or [0.0]
    figures = {name: value for name, value in asdict(phase).items() if name != "seconds"}
    return {
        **figures,
        "p50Ms": round(statistics.median(ordered) * 1000, 2),
        "p99Ms": round(ordered[len(ordered) * 99 // 100] * 1000, 2),
        "maxMs": round(ordered[-1] * 1000, 2),
    }


def summary(result: dict[str, Any]) -> str:
    """The figures as text: one line for each disturbance, each process, and all together."""
    lines = ["disturbance        seconds  answers  retried  unchecked   p50 ms   p99 ms    max ms"]
    lines += [
        f"{each['name']:17} {each['ended'] - each['begun']:8.1f} {each['requests']:8} {each['retried']:8}"
        f" {each['unchecked']:10} {each['p50Ms']:8} {each['p99Ms']:8} {each['maxMs']:9}"
        for each in result["disturbances"]
    ]
    lines += ["", "process   seconds   first MiB   last MiB   MiB an hour"]
    for series in result["memory"]:
        if samples := series["samples"]:
            slope = "" if series["slopeMibPerHour"] is None else f"{series['slopeMibPerHour']:.1f}"
            seconds = samples[-1][0] - samples[0][0]
            sizes = f"{samples[0][1]:11} {samples[-1][1]:10} {slope:>13}".rstrip()
            lines.append(f"{series['process']:8} {seconds:8.0f} {sizes}")
    lines += ["", *(f"lost: {each}" for each in result["lost"][:10])]
    lines += [f"wrong: {each}" for each in result["wrong"][:10]]
    lines += [f"unexpected: {each[:1000]}" for each in result["unexpected"][:10]]
    lines.append(
        f"{result['requests']} answers and {result['malformed']} to malformed bodies in {result['seconds']:.0f} s on "
        f"{result['connections']} connections; {len(result['authorities'])} changes of the caBundle"
    )
    lines.append(
        f"lost {len(result['lost'])}, wrong {len(result['wrong'])}, internal errors {len(result['unexpected'])}"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
