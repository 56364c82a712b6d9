"""Who does what, between processes that work through one list: whoever makes the file first.

Rules of this file:
1. What is taken and never finished was its process's death: somebody looks at what is left once all have ended.
"""

from pathlib import Path


class Claims:
    """Claims in a folder that all who work together know."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, name: str) -> bool:
        """Claim `name`; False where another process has."""
        try:
            (self._folder / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def finish(self, name: str) -> None:
        """Say that what was claimed is done."""
        (self._folder / f"{name}.done").touch()

    def finished(self) -> int:
        """How many claims are done."""
        return len(list(self._folder.glob("*.done")))
