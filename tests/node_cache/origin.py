"""An origin of downloads that fails when it is told to."""

import threading
from collections.abc import Callable, Iterator

Fault = Callable[[int, bytes], bytes]
"""Gets the number of a request, from 1, and what the origin would send; returns what it sends, or raises."""


class Origin:
    """Has files in memory. `asked` are paths, first and last bytes."""

    def __init__(self, files: dict[str, bytes], fault: Fault = lambda _, sent: sent) -> None:
        self.files, self.fault, self.chunk = files, fault, 3
        self.asked = list[tuple[str, int, int]]()
        self._lock = threading.Lock()

    def stream(self, path: str, first: int, last: int) -> Iterator[bytes]:
        with self._lock:
            self.asked.append((path, first, last))
            number = len(self.asked)
        content = self.fault(number, self.files[path][first : last + 1])
        yield from (content[at : at + self.chunk] for at in range(0, len(content), self.chunk))


def failing(error: BaseException, *numbers: int) -> Fault:
    """Fail the requests with these numbers, or all."""

    def fault(number: int, sent: bytes) -> bytes:
        if not numbers or number in numbers:
            raise error
        return sent

    return fault
