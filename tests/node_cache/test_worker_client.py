"""A worker that sends what is no answer: it is ended, and the driver goes on."""

import asyncio
import os
import socket
import struct

import pytest

from webhook.node_cache.protocol import Remove
from webhook.node_cache.refusals import Refused
from webhook.node_cache.worker_client import _Worker

DEPTH = 500_000
ODD = {
    "no JSON": b"x",
    "no answer": b'{"type":"Look"}',
    "JSON that is too deep": b'{"type":"Done","id":1,"more":' + b"[" * DEPTH + b"]" * DEPTH + b"}",
}


@pytest.mark.parametrize("kind", ODD)
def test_who_waits_for_a_worker_that_sends_no_answer_is_told_to_ask_again(kind: str) -> None:
    async def ask() -> None:
        ours, theirs = socket.socketpair()
        process = os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ)
        with theirs:
            worker = _Worker(process, *await asyncio.open_connection(sock=ours))
            asked = asyncio.create_task(worker.ask(Remove(1, ("a",)), None))
            theirs.setblocking(False)
            await asyncio.get_running_loop().sock_sendall(theirs, struct.pack(">I", len(ODD[kind])) + ODD[kind])
            with pytest.raises(Refused, match="the worker has ended"):
                await asyncio.wait_for(asked, 20)
            await worker.close()
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)

    asyncio.run(ask())
