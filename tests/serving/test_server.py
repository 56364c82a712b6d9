"""The server over real sockets: good requests, bad ones, and clients that misbehave."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import msgpack
import pytest

from streammf.errors import ConfigurationError
from streammf.serving.options import ServingOptions
from streammf.serving.protocol import framed
from streammf.serving.server import Server, refuse_remote
from tests.serving.running import PATIENCE, Model, Peer, Running, running
from tests.serving.test_messages import HOPELESS, MISFITS
from tests.waiting import wait_for

HEALTH = {"id": 1, "op": "health"}
PREDICT = {"id": 1, "op": "predict", "user": "ann", "item": "a"}


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def server(model: Model) -> Iterator[Running]:
    with running(model, most_frame_bytes=1 << 20) as started:
        yield started


def refused(answer: dict[str, object] | None) -> tuple[object, object]:
    """(id, code) of an error answer."""
    assert answer is not None
    assert answer["ok"] is False
    error = answer["error"]
    assert isinstance(error, dict)
    assert error["message"]
    return answer["id"], error["code"]


def well(server: Running) -> None:
    """The next connection works."""
    with Peer(server.address) as peer:
        peer.say(HEALTH)
        assert peer.hear() == {"id": 1, "ok": True, "status": "ok", "ready": True}


@pytest.mark.parametrize("body", [h[1] for h in HOPELESS], ids=[h[0] for h in HOPELESS])
def test_a_bad_body_gets_one_typed_error_and_ends_its_connection_only(server: Running, body: bytes) -> None:
    with Peer(server.address) as peer:
        peer.socket.sendall(framed(body))
        assert refused(peer.hear()) == (None, "bad_frame")
        assert peer.hear() is None
    well(server)


STARTS = {
    "2 GiB": (2**31).to_bytes(4, "big"),
    "4 GiB": b"\xff\xff\xff\xff",
    "1 byte too long": ((1 << 20) + 1).to_bytes(4, "big"),
    "empty": bytes(4),
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00",
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_bad_length_gets_one_typed_error_at_once_and_whatever_follows_is_discarded(server: Running, start: bytes) -> None:
    with Peer(server.address) as peer:
        peer.socket.sendall(start + bytes(100_000))
        assert refused(peer.hear()) == (None, "bad_frame")
        assert peer.hear() is None
    well(server)


def test_what_comes_before_a_bad_frame_is_answered(server: Running) -> None:
    with Peer(server.address) as peer:
        peer.socket.sendall(framed(msgpack.packb(HEALTH)) * 3 + bytes(4))
        assert [peer.hear() is not None for _ in range(3)] == [True] * 3
        assert refused(peer.hear()) == (None, "bad_frame")
        assert peer.hear() is None


def test_a_truncated_frame_gets_a_typed_error(server: Running) -> None:
    with Peer(server.address) as peer:
        peer.socket.sendall(framed(msgpack.packb(HEALTH))[:-1])
        peer.socket.shutdown(socket.SHUT_WR)
        assert refused(peer.hear()) == (None, "bad_frame")
        assert peer.hear() is None
    well(server)


def test_a_request_that_does_not_fit_is_refused_and_the_connection_goes_on(server: Running) -> None:
    with Peer(server.address) as peer:
        for _, body, code, _ in MISFITS:
            peer.say(body)
            assert refused(peer.hear()) == (7, code)
        peer.say(HEALTH)
        assert peer.hear() == {"id": 1, "ok": True, "status": "ok", "ready": True}


def test_errors_of_the_model_and_defects_are_answered_and_the_connection_goes_on(server: Running) -> None:
    with Peer(server.address) as peer:
        peer.say({"id": 1, "op": "info"}, {"id": 2, "op": "recommend", "user": "ann"})
        peer.say({"id": 3, "op": "similar_items", "item": "a"}, HEALTH)
        assert [refused(peer.hear()) for _ in range(3)] == [(1, "no_model"), (2, "internal"), (3, "bad_request")]
        assert peer.hear() is not None


def test_what_several_connections_ask_at_once_is_answered_together_and_a_defect_hurts_nobody_else(
    server: Running, model: Model
) -> None:
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        go_on.wait(PATIENCE)

    peers = [Peer(server.address) for _ in range(8)]
    server.loop.call_soon_threadsafe(hold)
    assert held.wait(PATIENCE)
    for n, peer in enumerate(peers):
        peer.say({"id": n, "op": "recommend", "user": "ann"} if n == 3 else PREDICT | {"id": n})
    go_on.set()
    for n, peer in enumerate(peers):
        with peer:
            answer = peer.hear()
            assert answer is not None
            assert (answer["id"], answer["ok"]) == (n, n != 3)
    assert max(model.together) > 1


def test_pipelined_requests_are_all_answered_however_they_arrive(server: Running) -> None:
    requests = b"".join(framed(msgpack.packb(PREDICT | {"id": n})) for n in range(5000))
    with Peer(server.address) as peer:
        for start in range(0, len(requests), 7777):
            peer.socket.sendall(requests[start : start + 7777])
        peer.socket.shutdown(socket.SHUT_WR)
        answers = [peer.hear() for _ in range(5000)]
        assert peer.hear() is None
    assert [answer and answer["id"] for answer in answers] == list(range(5000))


def test_a_request_that_waits_for_a_position_is_overtaken_and_then_answered(server: Running, model: Model) -> None:
    with Peer(server.address) as peer:
        peer.say(PREDICT | {"id": "late", "at_least": [["events", 0, 5]], "wait": 10}, PREDICT | {"id": "early"})
        first = peer.hear()
        model.reached = 5
        second = peer.hear()
    assert first is not None
    assert second is not None
    assert (first["id"], first["events"]) == ("early", 0)
    assert (second["id"], second["position"]) == ("late", [["events", 0, 5]])


def test_a_position_that_is_not_reached_in_time_is_the_error_behind(server: Running) -> None:
    with Peer(server.address) as peer:
        peer.say(PREDICT | {"at_least": [["events", 0, 5]], "wait": 0})
        assert refused(peer.hear()) == (1, "behind")
        began = time.monotonic()
        peer.say(PREDICT | {"at_least": [["events", 0, 5]], "wait": 0.1})
        assert refused(peer.hear()) == (1, "behind")
        assert time.monotonic() - began >= 0.1


def test_no_more_than_a_bounded_number_of_requests_wait(server: Running, model: Model) -> None:
    with Peer(server.address) as peer:
        for n in range(1001):
            peer.say(PREDICT | {"id": n, "at_least": [["events", 0, 5]], "wait": 10})
        assert refused(peer.hear()) == (1000, "overloaded")
        model.reached = 5
        assert sum(peer.hear() is not None for _ in range(1000)) == 1000


def test_an_end_of_sending_leaves_what_was_asked_answered(server: Running, model: Model) -> None:
    with Peer(server.address) as peer:
        peer.say(PREDICT | {"at_least": [["events", 0, 5]], "wait": 10})
        peer.socket.shutdown(socket.SHUT_WR)
        wait_for(lambda: model.asked > 1, "the request has come")
        model.reached = 5
        answer = peer.hear()
        assert answer is not None
        assert answer["events"] == 5
        assert peer.hear() is None


def test_a_client_that_sends_a_byte_now_and_then_is_ended_and_holds_up_nobody(model: Model) -> None:
    with running(model, frame_seconds=0.3) as server:
        slow = [Peer(server.address) for _ in range(50)]
        for peer in slow:
            peer.socket.sendall(framed(msgpack.packb(HEALTH))[:3])
        well(server)
        for peer in slow:
            with peer:
                assert refused(peer.hear()) == (None, "timeout")
                assert peer.hear() is None
        well(server)


def test_a_connection_that_is_idle_between_frames_has_no_deadline(model: Model) -> None:
    with running(model, frame_seconds=0.1) as server, Peer(server.address) as peer, Peer(server.address) as late:
        peer.say(HEALTH)
        assert peer.hear() is not None
        late.socket.sendall(b"\x00")
        assert refused(late.hear()) == (None, "timeout")  # so the deadline has passed for the other one as well
        peer.say(HEALTH)
        assert peer.hear() is not None


def test_a_client_that_does_not_read_is_no_longer_read_from_then_cut_off(model: Model) -> None:
    """Its requests for 1000 items each are 60 bytes; all answers together would be hundreds of MB."""
    with running(model, unread_seconds=0.5, most_unsent_bytes=64 << 10) as server, Peer(server.address) as peer:
        peer.socket.settimeout(0.2)
        request = framed(msgpack.packb({"id": 1, "op": "popular", "k": 1000}))
        try:
            while True:
                peer.socket.sendall(request * 100)
        except (TimeoutError, ConnectionError):
            pass
        well(server)
        wait_for(lambda: server.server.connections == 0, "the client is cut off")
        assert model.asked < 2000  # what fits the kernel's buffers, the server's and one turn
        well(server)


def test_a_slow_reader_gets_every_answer(model: Model) -> None:
    with running(model, most_unsent_bytes=16 << 10) as server, Peer(server.address) as peer:
        peer.say(*({"id": n, "op": "popular", "k": 1000} for n in range(300)))
        peer.socket.shutdown(socket.SHUT_WR)
        answers = [peer.hear() for _ in range(300)]
        assert peer.hear() is None
    assert [answer and (answer["id"], len(answer["items"])) for answer in answers] == [(n, 1000) for n in range(300)]


def test_one_connection_too_many_is_told_so_and_a_place_that_is_left_can_be_taken(model: Model) -> None:
    with running(model, most_connections=2) as server:
        with Peer(server.address) as first, Peer(server.address) as second:
            for peer in (first, second):
                peer.say(HEALTH)
                assert peer.hear() is not None
            with Peer(server.address) as third:
                assert refused(third.hear()) == (None, "overloaded")
                assert third.hear() is None

        def taken() -> bool:
            with Peer(server.address) as peer:
                peer.say(HEALTH)
                answer = peer.hear()
                return answer is not None and answer["ok"] is True

        wait_for(taken, "a place is free")


def test_draining_answers_what_waits_and_hangs_up_on_who_is_idle(model: Model) -> None:
    with running(model, drain_seconds=10) as server, Peer(server.address) as idle, Peer(server.address) as waiting:
        idle.say(HEALTH)
        assert idle.hear() is not None
        waiting.say(PREDICT | {"at_least": [["events", 0, 5]], "wait": 10})
        wait_for(lambda: model.asked > 1, "the request has come")
        server.loop.call_soon_threadsafe(server.ask_to_stop)
        assert idle.hear() is None
        with pytest.raises(ConnectionRefusedError):
            Peer(server.address)
        model.reached = 5
        answer = waiting.hear()
        assert answer is not None
        assert answer["events"] == 5
        assert waiting.hear() is None


def test_draining_does_not_wait_longer_than_it_may(model: Model) -> None:
    began = time.monotonic()
    with running(model, drain_seconds=0.2) as server, Peer(server.address) as peer:
        peer.say(PREDICT | {"at_least": [["events", 0, 5]], "wait": 10})
        wait_for(lambda: model.asked > 1, "the request has come")
        server.stop()
        assert time.monotonic() - began < 9


def test_two_servers_share_one_port_and_the_other_serves_on_when_one_drains() -> None:
    with running(Model(1.0)) as one, running(Model(2.0), port=one.address[1]) as two:
        assert one.address == two.address

        def value() -> float:
            with Peer(one.address) as peer:
                peer.say(PREDICT)
                answer = peer.hear()
                assert answer is not None
                return float(answer["value"])

        wait_for(lambda: value() == 1.0, "the first server answers")
        wait_for(lambda: value() == 2.0, "the second server answers")
        one.stop()
        assert {value() for _ in range(20)} == {2.0}


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_that_others_reach_is_refused_unless_the_configuration_allows_it(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no authentication.*serving\.allow_remote"):
        asyncio.run(Server(Model(), ServingOptions(host=host, port=0)).start())
    refuse_remote(ServingOptions(host=host, allow_remote=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_permission(host: str) -> None:
    refuse_remote(ServingOptions(host=host))


def test_a_host_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"serving\.host: 'no\.such\.host\.invalid'"):
        refuse_remote(ServingOptions(host="no.such.host.invalid"))


def test_a_port_that_somebody_else_has_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}"):
            asyncio.run(Server(Model(), ServingOptions(port=port)).start())
