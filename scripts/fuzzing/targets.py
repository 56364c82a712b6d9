"""Everything that reads bytes of others."""

from typing import Final

from scripts.fuzzing.logs import FILES, FOLDERS
from scripts.fuzzing.manifests import MANIFESTS
from scripts.fuzzing.records import RECORDS
from scripts.fuzzing.talk import CLIENT, SERVER

TARGETS: Final = {target.name: target for target in (RECORDS, FILES, FOLDERS, SERVER, CLIENT, MANIFESTS)}
