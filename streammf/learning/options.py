"""What can be chosen about learning.

Rules of this file:
1. A number that should differ between the two objectives has the objective's own default: it is filled in when the options
   are made, so whoever reads or prints options always sees the number that is used.
2. Half-lives are event time, in days; 0 switches that decay off.
3. `dimensions` and `seed` shape what is stored: a store keeps those that it was made with. Rates may change between runs.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr

from streammf.learning.tables import Dimensions

#: Stands for "the objective's own default" until the options are made; no real value is negative.
OWN: Final = -1

#: Tuned on one pass over MovieLens-100K, and checked on a log of clicks and on a small, sparse log.
DEFAULTS: Final[dict[str, dict[str, float]]] = {
    "ranking": {
        "history": 32,
        "recent": 20_000,
        "rehearsals": 4,
        "user_rate": 0.03,
        "item_rate": 0.04,
        "history_rate": 0.07,
        "regularisation": 0.005,
        "rank_decay": 0.9,
        "history_half_life": 0.0,
        "popularity_half_life": 180.0,
        "user_half_life": 365.0,
        "late_half_life": 30.0,
    },
    "rating": {
        "history": 64,
        "recent": 50_000,
        "rehearsals": 3,
        "user_rate": 0.045,
        "item_rate": 0.055,
        "history_rate": 0.025,
        "regularisation": 0.055,
        "rank_decay": 1.0,
        "history_half_life": 365.0,
        "popularity_half_life": 180.0,
        "user_half_life": 90.0,
        "late_half_life": 365.0,
    },
}

#: What the blend wants otherwise: beside least squares and neighbours, rehearsals add nothing to recall on any log tried.
BLENDED: Final = {"rehearsals": 0}

#: The learning rates are tuned for weights around 1: a log of nothing but weight 2 loses up to 4 % of its recall
#: on the real logs tried, a quarter on a noisy made-up one.
TYPES: Final = {"click": 1.0, "view": 0.5, "play": 1.0, "like": 1.5, "cart": 1.5, "purchase": 2.0, "rating": 1.0}

#: Users kept as the last who chose an item where nobody asks them: least squares solves for the item by them.
RING: Final = 32

#: What a counter of the sketch of new ids counts up to.
MOST_MET: Final = 255

Rate = Annotated[float, Meta(ge=0.0, le=100.0)]
Days = Annotated[float, Meta(ge=0.0, le=100_000.0)]
Weight = Annotated[float, Meta(ge=0.0, le=100.0)]


class LearningOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How events become a model."""

    objective: Literal["ranking", "rating"] = "ranking"
    """`ranking`: clicks, purchases, likes; which items come next. `rating`: numbers on a scale; what will this be rated."""

    seed: Annotated[int, Meta(ge=0, le=2**62)] = 1
    """First values, draws and the hashes of ids all follow from it."""

    factors: Annotated[int, Meta(ge=1, le=1024)] = 32
    """Numbers in each vector (k)."""

    history: Annotated[int, Meta(ge=0, le=1024)] = OWN
    """Last events of a user that speak for the user's taste at once, through y_j (H); 0: none."""

    recent: Annotated[int, Meta(ge=1, le=100_000_000)] = OWN
    """Events in the ring that negatives and rehearsals are drawn from."""

    negatives: Annotated[int, Meta(ge=0, le=1000)] = 5
    """Ranking: items drawn against each event's item."""

    rehearsals: Annotated[int, Meta(ge=0, le=100)] = OWN
    """Recent events that are learned from again after each event. Ranking without the blend: 4."""

    user_rate: Rate = OWN
    """Learning rate of p_u."""

    item_rate: Rate = OWN
    """Learning rate of q_i."""

    history_rate: Rate = OWN
    """Learning rate of y_j."""

    regularisation: Rate = OWN
    """L2 pull of the vectors towards 0, relative to the learning rate."""

    bias_rate: Rate = 0.025
    """Rating: the floor that the learning rate of b_u and b_i falls to."""

    bias_prior: Annotated[float, Meta(ge=1.0, le=1e6)] = 7.0
    """Rating: the n-th rating's bias step is 1 / (n + bias_prior) until it meets the floor."""

    bias_regularisation: Rate = 0.04
    """Rating: L2 pull of the biases towards 0, relative to the learning rate."""

    rank_decay: Annotated[float, Meta(gt=0.0, le=1.0)] = OWN
    """What an event of the history weighs relative to the one that followed it."""

    history_half_life: Days = OWN
    """Days after which an event of the history weighs half."""

    popularity_half_life: Days = OWN
    """Days after which an event counts half for the item's popularity."""

    user_half_life: Days = OWN
    """Days of absence after which p_u has shrunk to half."""

    late_half_life: Days = OWN
    """Days behind the event clock at which a late event teaches half."""

    blend: bool = True
    """Ranking: learn neighbours, peers, popularity at several half-lives and least squares too, and how to weigh them all:
    better lists, for two to three times the time and several times the memory. Off: gradient steps and popularity alone."""

    gradient: bool = True
    """Blend: learn the vectors of gradient steps. Without the blend they are the model, whatever this says."""

    least_squares: bool = True
    """Blend: learn the vectors of least squares."""

    neighbours: Annotated[int, Meta(ge=0, le=1000)] = 100
    """Blend, stack: items kept as an item's neighbours; 16 bytes each an item. 0: none; the stack keeps 8."""

    peers: Annotated[int, Meta(ge=0, le=1000)] = 0
    """Blend: users kept as the last who chose an item, 4 bytes each an item, and asked what else they chose lately. 0: nobody
    is asked, and 32 are kept for least squares: 32 that are asked changed recall on three real logs by less than .001 up or
    down, and took up to a quarter of the kernel's time."""

    neighbour_half_life: Days = 365.0
    """Blend: days after which two items' having been chosen together counts half."""

    solved_half_life: Days = 365.0
    """Blend: days after which a user or an item without events counts half in least squares."""

    blend_young: Annotated[int, Meta(ge=0)] = 10_000
    """Blend: events of the log that each teach how to weigh; of as many after them every second does, then every fourth,
    and so on."""

    blend_every: Annotated[int, Meta(ge=1)] = 32
    """Blend: one in so many events teaches how to weigh in the end."""

    stack: bool = True
    """Rating: beside the vectors learn damped means, what items rated alike by the same people and a user's last ratings
    say, and how to weigh it all; what foretold best lately predicts. Off: vectors and biases alone, in two thirds to three
    quarters of the time and a sixth of an item's memory."""

    measure_every: Annotated[int, Meta(ge=0, le=2**31)] = 512
    """One event in so many is foretold by the model and by each simple method before it is learned from, and the first
    20,000 four times as often: what `info`, the metrics and the guard know of quality. 0: nothing is measured or guarded."""

    measure_window: Annotated[float, Meta(ge=1.0, le=1e9)] = 500.0
    """Measured events after which one counts half in the recent measures, which the guard goes by."""

    attributes: Annotated[int, Meta(ge=0, le=1 << 20)] = 0
    """Rows for the values of attributes (categories, segments), by their hashes: a few times as many as there are different
    values. New items and users with attributes then start from what is known of others that share them, and items are
    recommended before anybody chose them. Describing users helps (MovieLens, recall@10 of their first three events: .143 to
    .181); describing items lowers recall as a whole (.189 to .172): describe users alone, unless new items must be shown at
    once. 600 bytes each, 36 an item, 32 a user. 0: attributes are not learned from."""

    most_users: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    """Users that get a row; events of others are refused then, and counted. 0: as many as `live.most_users` has room for."""

    most_items: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    """Items that get a row; events of others are refused then, and counted. 0: as many as `live.most_items` has room for."""

    admit_after: Annotated[int, Meta(ge=0, le=MOST_MET)] = 0
    """A new user or item gets a row with the so-maniest event that names it, among the last 32,768 or so that named new ones;
    those before are refused, and counted. 0, 1: at once."""

    forget_users_after_days: Days = 0.0
    """Users without an event for so many days of the events' own time are forgotten, whole; 0: never."""

    forget_items_after_days: Days = 0.0
    """The same for items; 0: never."""

    forget_every: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 100_000
    """Events, refused ones included, between two looks for who is to be forgotten after so many days. Each look goes over the
    whole model."""

    types: dict[str, Weight] = msgspec.field(default_factory=TYPES.copy)
    """What an event of each type weighs, in loss and popularity. 0: the item is seen, nothing is taught. Others are refused."""

    positive_from: float = 0.0
    """Ranking: an event whose value is below makes the item seen and teaches nothing."""

    scale: tuple[float, float] = (1.0, 5.0)
    """Rating: the least and the greatest rating; predictions stay within, events outside are refused."""

    def __post_init__(self) -> None:
        """Fill in the objective's own defaults."""
        for name, value in (DEFAULTS[self.objective] | (BLENDED if self.blends else {})).items():
            if getattr(self, name) == OWN:
                force_setattr(self, name, value)
        low, high = self.scale
        if not (-1e6 <= low < high <= 1e6):
            raise ValueError(f"learning.scale wants the least rating before the greatest, within ±1e6, got {self.scale}")

    @property
    def dimensions(self) -> Dimensions:
        """The widths of the tables. History or neighbours that are off still have an unused place: no column is empty."""
        dimensions = Dimensions(
            factors=self.factors,
            history=max(self.history, 1),
            recent=self.recent,
            admission=int(self.admit_after > 1),
            expiry=int(self.expires),
            attributes=self.attributes,
        )
        neighbours = max(self.neighbours, 1)
        if self.stacks:
            return dimensions._replace(stack=1, neighbours=neighbours)
        if not self.blends:
            return dimensions
        return dimensions._replace(blend=1, neighbours=neighbours, peers=self.peers or RING)

    @property
    def part(self) -> Literal["ranking", "blend", "rating", "stack"]:
        """Whose kernels learn and answer."""
        if self.stacks:
            return "stack"
        return "blend" if self.blends else self.objective

    @property
    def admits(self) -> bool:
        """Whether a new user or item may be refused."""
        return bool(self.most_users or self.most_items or self.admit_after > 1)

    @property
    def expires(self) -> bool:
        """Whether users or items are forgotten that are away for long."""
        return bool(self.forget_users_after_days or self.forget_items_after_days)

    @property
    def blends(self) -> bool:
        """Whether the blend is learned and served."""
        return self.blend and self.objective == "ranking"

    @property
    def stacks(self) -> bool:
        """Whether the stack is learned and predicts."""
        return self.stack and self.objective == "rating"
