"""`streammf audit`: learn the log again, and see whether it comes to what the store holds."""

import click
import msgspec

from streammf.cli.bars import bars
from streammf.cli.flags import config_flag, json_flag, settings, source_flags, source_settings
from streammf.errors import StoreError
from streammf.operations.configuration import load

EXAMPLES = """\b
Examples:
  streammf audit
  streammf audit --source kafka --bootstrap 127.0.0.1:9092 --topic events --json

Exit code 6: it comes to something else. That is so too where learning options were changed in the life of the store."""


@click.command(epilog=EXAMPLES)
@source_flags
@click.option("--store", metavar="FOLDER", help="The store: store.path.")
@config_flag
@json_flag
def command(
    source: str | None,
    path: str | None,
    bootstrap: str | None,
    topics: tuple[str, ...],
    store: str | None,
    file: str | None,
    as_json: bool,
) -> None:
    """Learn the whole log again, in the order in which it was learned, and compare digests with the store.

    Proves that nothing was lost and nothing learned twice. Reads only; a trainer may go on meanwhile. The log must still
    hold everything from its beginning.
    """
    from streammf.operations.audit import audit  # noqa: PLC0415 - loads numba and LMDB

    flags = source_settings(source, path, bootstrap, topics) | settings("store", {"path": ("--store", store)})
    configuration = load(file, flags=flags)
    with bars() as bar:
        found = audit(configuration, bar("learned again"))
    if as_json:
        click.echo(msgspec.json.encode(msgspec.to_builtins(found) | {"same": found.same}).decode())
    elif found.same:
        click.echo(f"{found.events:,} events learned again in {found.runs or 1:,} runs: the same, {found.stored}")
    if not found.same:
        raise StoreError(
            f"the log gives {found.again:,} events (and {found.refused_again:,} refused) and {found.learned}, "
            f"the store holds {found.events:,} ({found.refused:,}) and {found.stored}: "
            "events were lost or learned twice, or learning options were changed meanwhile"
        )
