"""What is asked of a Kafka cluster beside records: who is there, topics, identities, ends, settings.

Rules of this file:
1. Nothing waits without a bound; an unreachable cluster is named with the reason that librdkafka tells error_cb only.
2. The client's own errors end here: callers see StreamMF's.
3. What the cluster says wrongly for some moments after a change (an unknown topic, a leader that moves) is asked again.
4. It is closed before the process ends: a thread of the client's calls back into Python when a question is answered or has
   waited too long, and where Python is gone by then that is a segmentation fault.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from difflib import get_close_matches
from typing import Any, Final, NamedTuple, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec

from streammf.errors import ConfigurationError, SourceError, UnreachableError
from streammf.events.kafka_options import KafkaOptions
from streammf.events.source import Partition, Standing

Answer = TypeVar("Answer")

#: Waiting does not mend these.
LASTING: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_ALREADY_EXISTS,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.POLICY_VIOLATION,
    }
)
#: Another broker leads the partition now, or the same one for the second time, or it has come back; or the client knows of no
#: leader, as it may just after a topic was created, and answers from that memory alone.
_OTHER_LEADER: Final = frozenset(
    {
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError._NOENT,
    }
)
#: Whoever is asked is not there, and may be later.
AWAY: Final = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._RESOLVE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError._NOENT,
    }
)
#: s after which a question whose time is up is given up: a client that was closed never answers.
GRACE: Final = 1.0
#: s between two questions.
PAUSE: Final = 0.05
#: Topics named in a message, those like the wanted one first.
MOST_NAMED: Final = 20


def reason_of(error: KafkaException) -> KafkaError:
    """What an exception of the client carries."""
    reason: KafkaError = error.args[0]
    return reason


class Described(NamedTuple):
    """A topic as the cluster knows it."""

    topic_id: str
    numbers: list[int]
    """Of its partitions, sorted."""


class Connection:
    """What is known of the connection: librdkafka reconnects by itself and tells its troubles to error_cb only."""

    def __init__(self) -> None:
        self.trouble = ""
        """Why no broker can be reached; empty while there is no sign of that."""
        self.lasting: KafkaError | None = None
        """An error that no waiting mends."""
        self._reason = ""

    def heard(self, error: KafkaError) -> None:
        """error_cb."""
        if error.code() in LASTING:
            self.lasting = error
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._reason = error.str()
        if error.code() == KafkaError._ALL_BROKERS_DOWN or self.trouble:
            self.trouble = self._reason or error.str()

    def answered(self) -> None:
        """A broker has said something: whatever was wrong is over."""
        self.trouble = self._reason = ""
        self.lasting = None

    def why(self, error: KafkaError) -> str:
        """The best reason known for `error`, which itself often says no more than "timed out"."""
        if self.lasting is not None:
            return self.lasting.str()
        return self.trouble or self._reason or error.str()


class Cluster:
    """One Kafka cluster, seen by an administrator's client that only reads, except in `create_topic`. For any thread."""

    def __init__(self, options: KafkaOptions) -> None:
        self.options = options
        self.connection = Connection()
        self._admin = self.client(AdminClient, {})

    def close(self) -> None:
        """Let go. Whoever waits in another thread gets no answer, in the time it had set; who asks anew, a RuntimeError."""
        self._admin.__exit__(None, None, None)

    def client(self, kind: Callable[[dict[str, Any]], Answer], settings: Mapping[str, object]) -> Answer:
        """A client of the given kind. The user's properties win over defaults, `settings` over both."""
        configured: dict[str, Any] = {
            "log_level": 2,  # what goes wrong is raised; librdkafka would print it too
            **self.options.properties,
            "bootstrap.servers": self.options.bootstrap_servers,
            "error_cb": self.connection.heard,
            **settings,
        }
        try:
            return kind(configured)
        except (KafkaException, TypeError, ValueError) as error:
            reason = reason_of(error).str() if isinstance(error, KafkaException) else error
            raise ConfigurationError(f"Kafka's client refuses its properties: {reason}") from error

    def partitions(self, topics: Sequence[str]) -> tuple[Partition, ...]:
        """All partitions of the topics, sorted."""
        known = self._ask("its topics", lambda: self._admin.list_topics(timeout=1).topics)
        for topic in topics:
            if topic not in known:
                others = [name for name in known if not name.startswith("__")]
                nearest = get_close_matches(topic, others, MOST_NAMED, cutoff=0.0)
                named = ", ".join(nearest) + (", ..." if len(others) > MOST_NAMED else "")
                raise SourceError(
                    f"there is no topic {topic} at {self.options.bootstrap_servers}; there is: {named or 'none at all'}"
                )
        return tuple(sorted(Partition(topic, number) for topic in topics for number in known[topic].partitions))

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """Each topic's identity. A topic that was deleted and created again has another one, and nothing else tells."""

        described = self._ask("the identity of its topics", lambda: self.described(topics, 5.0))
        return {topic: one.topic_id for topic, one in described.items()}

    def described(self, topics: Sequence[str], seconds: float) -> dict[str, Described]:
        """One question that waits `seconds` at most. Raises KafkaException."""
        futures = self._admin.describe_topics(TopicCollection(list(topics)), request_timeout=seconds)
        answers = {topic: _awaited(future, seconds) for topic, future in futures.items()}
        return {
            topic: Described(str(one.topic_id), sorted(partition.id for partition in one.partitions))
            for topic, one in answers.items()
        }

    def beginnings(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """Each partition's first offset that is still there."""
        return self._ask("where its partitions begin", lambda: self._offsets(partitions, OffsetSpec.earliest()))

    def ends(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """Each partition's next offset to be written, open transactions included."""
        return self._ask("where its partitions end", lambda: self._offsets(partitions, OffsetSpec.latest()))

    def standing(self, partitions: Sequence[Partition], seconds: float) -> Standing:
        """Ends from one question that waits `seconds` at most: of those partitions whose leaders answer, with the reason why
        the others do not."""
        # asked first, so that it is never beyond the end
        readable, _ = self._answered(partitions, OffsetSpec.latest(), seconds, IsolationLevel.READ_COMMITTED)
        ends, silent = self._answered(partitions, OffsetSpec.latest(), seconds)
        if not silent:
            self.connection.answered()
            return Standing(ends, readable, "")
        reason = self.connection.why(reason_of(next(iter(silent.values()))))
        named = ", ".join(f"{topic}/{number}" for topic, number in sorted(silent)[:MOST_NAMED])
        return Standing(ends, readable, f"{named}: {reason}" if ends else reason)

    def settings(self, topic: str) -> dict[str, str]:
        """A topic's settings, the cluster's defaults included."""

        return self._ask(f"the settings of topic {topic}", lambda: self._settings(topic))

    def is_compacted(self, topic: str) -> bool:
        """Whether the topic keeps only the last record of a key; False too where nobody may or does say."""
        with contextlib.suppress(KafkaException):
            return "compact" in self._settings(topic).get("cleanup.policy", "")
        return False

    def create_topic(self, name: str, partitions: int, settings: Mapping[str, str]) -> bool:
        """Create a topic and wait until it can be used. False: it was there already, and is left as it is."""
        topic = NewTopic(name, num_partitions=partitions, replication_factor=-1, config=dict(settings))

        def create() -> None:
            self._admin.create_topics([topic])[name].result()

        try:
            self._ask(f"to create topic {name}", create)
        except SourceError as error:
            if _code(error) != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            return False
        self.topic_ids([name])
        self.beginnings(self.partitions([name]))
        return True

    def _settings(self, topic: str) -> dict[str, str]:
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        (future,) = self._admin.describe_configs([resource], request_timeout=5).values()
        return {name: entry.value for name, entry in _awaited(future, 5.0).items()}

    def _offsets(
        self,
        partitions: Sequence[Partition],
        spec: OffsetSpec,
    ) -> dict[Partition, int]:
        """Of all these partitions, or KafkaException."""
        offsets, silent = self._answered(partitions, spec, 5.0)
        for error in silent.values():
            raise error
        return offsets

    def _answered(
        self,
        partitions: Sequence[Partition],
        spec: OffsetSpec,
        seconds: float,
        isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
    ) -> tuple[dict[Partition, int], dict[Partition, KafkaException]]:
        """What was answered, and for which partitions nothing was."""
        self._admin.poll(0)  # only here does this client tell error_cb what it has met
        futures = self._admin.list_offsets(
            {TopicPartition(*partition): spec for partition in partitions},
            isolation_level=isolation,
            request_timeout=seconds,
        )
        offsets, silent = {}, {}
        for asked, future in futures.items():
            partition = Partition(asked.topic, asked.partition)
            try:
                offset = _awaited(future, seconds).offset
            except KafkaException as error:
                silent[partition] = error
            else:
                # where its leader is away and others answer, the client gives -1001 and no error
                if offset >= 0:
                    offsets[partition] = offset
                else:
                    silent[partition] = KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        if any(reason_of(error).code() in _OTHER_LEADER for error in silent.values()):
            with contextlib.suppress(KafkaException):  # the client goes on asking with what it knows of the leader
                self._admin.list_topics(timeout=1)
        return offsets, silent

    def _ask(self, what: str, question: Callable[[], Answer]) -> Answer:
        deadline = time.monotonic() + self.options.connect_seconds
        while True:
            try:
                answer = question()
            except KafkaException as error:
                self._admin.poll(0)
                reason = reason_of(error)
                lasting = reason.code() in LASTING or self.connection.lasting is not None
                if lasting or time.monotonic() > deadline:
                    kind = UnreachableError if not lasting and reason.code() in AWAY else SourceError
                    raise kind(
                        f"Kafka at {self.options.bootstrap_servers} was asked for {what} and did not answer: "
                        f"{self.connection.why(reason)}"
                    ) from error
                time.sleep(PAUSE)
            else:
                self.connection.answered()
                return answer


def _awaited(future: Future[Answer], seconds: float) -> Answer:
    """The answer to a question that waits so long. Raises KafkaException."""
    try:
        return future.result(seconds + GRACE)
    except TimeoutError:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None


def _code(error: SourceError) -> int | None:
    cause = error.__cause__
    return reason_of(cause).code() if isinstance(cause, KafkaException) else None
