"""What comes and is probably meant otherwise: said once."""

import logging
from typing import Final

from streammf.events.event import ERASING
from streammf.learning.options import LearningOptions
from streammf.trainer.decoding import Decoded

log: Final = logging.getLogger(__name__)

DESCRIBED: Final = "attributes of items and users come, and are not learned from: learning.attributes is 0"
CHOSEN: Final = (
    "events of type rating come, and are learned from as choices, the low ones too: set learning.objective to rating, or "
    "learning.positive_from to the least rating that is a choice"
)


class Remarks:
    """Looks at every batch that a model of these options learns from."""

    def __init__(self, options: LearningOptions) -> None:
        teaches = options.types.get("rating", 0.0) > 0
        chosen = options.objective == "ranking" and options.positive_from <= 0.0 and teaches
        self._chosen = [*options.types].index("rating") if chosen else -1
        """Kind of the ratings that are learned from as choices; -1: none are."""
        self._described = options.attributes > 0
        self._said: set[str] = set()

    def look(self, columns: Decoded) -> None:
        """Say what there is to be said of a batch."""
        if not self._described and any(control.kind not in ERASING for control in columns.controls):
            self._say(DESCRIBED)
        if (columns.kinds == self._chosen).any():
            self._say(CHOSEN)

    def _say(self, remark: str) -> None:
        if remark not in self._said:
            self._said.add(remark)
            log.warning("%s", remark)
