"""The client's half of the protocol, without a socket: what both clients share.

Rules of this file:
1. No I/O and no clock. Bytes to send come out, bytes received go in.
2. A request is a `Call`: what to send, and how to read the answer. One function per op makes it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import msgpack

from streammf.errors import NoModelError, ProtocolError, RequestError, StreamMFError
from streammf.serving import results
from streammf.serving.protocol import MOST_ANSWER_BYTES, PORT, WAIT_SECONDS, Framer, framed

T = TypeVar("T")

AtLeast = Iterable[tuple[str, int, int]]
"""A position: (topic, partition, next offset) of each partition that matters."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, and how its answer is read."""

    op: str
    read: Callable[[Mapping[str, Any]], T]
    fields: dict[str, Any] = field(default_factory=dict)
    wait: float = 0.0
    """Seconds that the server may wait before it answers."""

    def after(self, at_least: AtLeast | None, wait: float | None) -> "Call[T]":
        """The same, answered only by a model that includes `at_least`."""
        if at_least is None:
            return self
        wait = WAIT_SECONDS if wait is None else wait
        waiting = {"at_least": [list(entry) for entry in at_least], "wait": wait}
        return Call(self.op, self.read, self.fields | waiting, wait)


def recommend(user: str | None, items: Sequence[str] | None, k: int, exclude_seen: bool) -> Call[results.Ranking]:
    """Items for a user, or for an anonymous visitor who has had `items`."""
    if (user is None) == (items is None):
        raise RequestError("bad_request", "recommend takes either a user or items")
    if isinstance(items, str):
        raise RequestError("bad_request", f"items is a list of ids, not a text: [{items!r}]?")
    who = {"user": user} if items is None else {"items": list(items)}
    return Call("recommend", results.ranking, who | {"k": k, "exclude_seen": exclude_seen})


def similar_items(item: str, k: int) -> Call[results.Ranking]:
    """Items like an item."""
    return Call("similar_items", results.ranking, {"item": item, "k": k})


def popular(k: int) -> Call[results.Ranking]:
    """Items that most people like now."""
    return Call("popular", results.ranking, {"k": k})


def predict(user: str, item: str) -> Call[results.Prediction]:
    """What a user thinks of an item."""
    return Call("predict", results.prediction, {"user": user, "item": item})


HEALTH = Call("health", results.health)
INFO = Call("info", results.info)


class Conversation:
    """One connection's requests and answers."""

    def __init__(self) -> None:
        self._framer = Framer(MOST_ANSWER_BYTES)
        self._asked = 0

    def ask(self, call: Call[Any]) -> tuple[int, bytes]:
        """The request's id, and the bytes to send."""
        self._asked += 1
        try:
            body: bytes = msgpack.packb({"id": self._asked, "op": call.op} | call.fields)
        except (TypeError, ValueError, OverflowError) as error:
            raise RequestError("bad_request", f"{call.op}: {error}") from error
        return self._asked, framed(body)

    def hear(self, data: bytes) -> list[tuple[int, dict[str, Any]]]:
        """The answers that are whole now, with the ids of their requests.

        Raises ProtocolError, or ConnectionRefusedError where the server wants no more of this connection (another one,
        or the same one later, may answer). The connection is over then.
        """
        self._framer.feed(data)
        answers = []
        while (body := self._framer.next()) is not None:
            answer = _map(body)
            request_id = answer.get("id")
            if request_id is None and answer.get("ok") is False:
                error = fault(answer)
                raise error if isinstance(error, ProtocolError) else ConnectionRefusedError(str(error))
            if type(request_id) is not int:
                raise ProtocolError(f"an answer with the id {request_id!r:.100}, which nobody asked with")
            answers.append((request_id, answer))
        return answers


def read(call: Call[T], answer: Mapping[str, Any]) -> T:
    """The result in an answer. Raises what an error answer says."""
    if results.field(answer, "ok", bool):
        return call.read(answer)
    raise fault(answer)


def fault(answer: Mapping[str, Any]) -> StreamMFError:
    """An error answer as the error to raise."""
    error = results.field(answer, "error", dict)
    code, message = results.field(error, "code", str), results.field(error, "message", str)
    if code == "no_model":
        return NoModelError(message)
    return ProtocolError(message) if code == "bad_frame" else RequestError(code, message)


def _map(body: bytes) -> dict[str, Any]:
    # msgpack's own errors do not all derive from ValueError; RecursionError: a StackError of the pure Python decoder
    try:
        answer = msgpack.unpackb(body)
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError, OverflowError) as error:
        raise ProtocolError(f"an answer that is not MessagePack: {error}") from error
    if type(answer) is not dict:
        raise ProtocolError(f"an answer that is a {type(answer).__name__}, not a map")
    return answer


Address = tuple[str, int]
ADDRESS: Final = f"127.0.0.1:{PORT}"
#: Seconds to wait before a request whose connection broke is asked again: first at once, then longer. A worker that is killed
#: is given connections until the kernel has closed its port, after those that it had, and breaks them too.
PAUSES: Final = (0.0, 0.02, 0.1)


def named(address: Address) -> str:
    """host:port."""
    return f"{address[0]}:{address[1]}"


def broken(address: Address, error: OSError) -> NoModelError:
    """The error of a client whose every connection broke before the answer."""
    return NoModelError(f"the connection to {named(address)} broke {1 + len(PAUSES)} times: {error}")


def nobody(refused: Iterable[tuple[Address, OSError]]) -> NoModelError:
    """The error of a client that found no server."""
    tried = ", ".join(f"{named(address)} ({error.strerror or error or 'timed out'})" for address, error in refused)
    return NoModelError(
        f"no server answers at {tried}; is `streammf up` or `streammf serve` running? (Its first start after an installation "
        "compiles kernels for some minutes before it answers.)"
    )


def addresses(given: str | Sequence[str]) -> list[Address]:
    """`host`, `host:port` or `[v6]:port`, one or several, as (host, port)."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, Sequence) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"a client needs the address of at least one server, host:port, not {given!r}")
    return [_address(text) for text in texts]


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):  # a bare name, or a bare IPv6 address
        host, port = text, str(PORT)
    if not host.strip("[]") or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"an address is host:port, not {text!r}")
    return host.strip("[]"), int(port)
