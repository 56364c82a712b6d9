"""What can be chosen about reading a log, whatever its kind.

Rules of this file:
1. Nothing is imported here that loads a client: processes that read no log read the configuration too.
"""

from typing import Literal

import msgspec


class ReadingOptions(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What the options of every kind of log begin with."""

    on_data_loss: Literal["stop", "accept"] = "stop"
    """What a start does where the log no longer holds what the stored positions ask for, or is another log: stop, with the
    number of events, or accept it, note it in the store and learn on from what there is."""
