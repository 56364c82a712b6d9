"""StreamMF: a streaming recommender that learns from every event the moment it arrives.

Light on purpose: importing it loads neither numba nor LMDB nor Kafka; the names below load what they need on first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streammf.recommender import Recommendation, Recommender
    from streammf.serving.async_client import AsyncClient
    from streammf.serving.client import Client

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "Recommendation", "Recommender", "__version__"]

_HOMES = {
    "Client": "streammf.serving.client",
    "AsyncClient": "streammf.serving.async_client",
    "Recommender": "streammf.recommender",
    "Recommendation": "streammf.recommender",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _HOMES:
        raise AttributeError(f"module 'streammf' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_HOMES[name]), name)
