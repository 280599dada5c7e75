"""A network of a pod's own, whose traffic a mesh's CNI plugin has redirected to a proxy that does not run yet."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.support.programs import on_path

_PROXY_PORT = 15001
"""Where Istio's proxy listens. Nothing listens there in these networks."""


@dataclass(frozen=True)
class Network:
    """A network namespace, for as long as the process `pid` lives. It has nothing but loopback."""

    pid: int

    def inside(self) -> tuple[str, ...]:
        """The start of a command line, to stand before that of a program in this network."""
        return (str(on_path("nsenter", "util-linux")), f"--net=/proc/{self.pid}/ns/net")

    def as_user(self, user: int) -> tuple[str, ...]:
        """The same for a program that runs as this user, and can nevertheless use the tests' own folders."""
        capability = "+dac_override"
        options = (f"--reuid={user}", f"--regid={user}", "--clear-groups")
        may_write = (f"--inh-caps={capability}", f"--ambient-caps={capability}")
        return (*self.inside(), str(on_path("setpriv", "util-linux")), *options, *may_write)


@contextmanager
def redirected(except_user: int) -> Iterator[Network]:
    """A network in which all connections of other users than `except_user` are redirected, as Istio's rules do it."""
    unshare, iptables = str(on_path("unshare", "util-linux")), str(on_path("iptables", "iptables"))
    if subprocess.run([unshare, "--net", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets us have no network namespace: run as root, with CAP_SYS_ADMIN and CAP_NET_ADMIN")
    output = f"{iptables} -t nat -A OUTPUT -p tcp"
    rules = (f"-m owner --uid-owner {except_user} -j RETURN", f"-j REDIRECT --to-ports {_PROXY_PORT}")
    commands = ("ip link set lo up", *(f"{output} {rule}" for rule in rules), "echo ready", "exec cat")
    holder = subprocess.Popen(
        [unshare, "--net", "sh", "-c", " && ".join(commands)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "ready\n", holder.communicate()[1]
        yield Network(holder.pid)
    finally:
        holder.communicate()  # closes its input, which ends it
