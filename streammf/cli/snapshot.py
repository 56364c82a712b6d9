"""`streammf snapshot`: copies of the store, and its digest. Works beside a running trainer, but for `restore` and `compact`.

Rules of this file:
1. A snapshot is named by its folder, its URL, its name in store.snapshots, or `latest`: the newest good one there.
2. What cannot be relied on is said before anybody does: damage, other settings, positions that the log no longer holds.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
import msgspec

from streammf.cli.flags import config_flag, json_flag, settings
from streammf.errors import DataLossError, ExitCode, SourceError, StoreError
from streammf.operations.configuration import Configuration, load

if TYPE_CHECKING:
    from streammf.state.difference import Difference
    from streammf.state.manifest import Manifest
    from streammf.state.meta import Position
    from streammf.state.shelf import Shelf
    from streammf.state.store import Store

Lost = Callable[[Sequence["Position"]], str]

store_flag = click.option("--store", metavar="FOLDER", help="The store: store.path.")
source_flag = click.option("--against-source", is_flag=True, help="Ask the log whether it still holds their positions.")

EXAMPLES = """\b
Examples:
  streammf snapshot create
  streammf snapshot create backups/monday
  streammf snapshot verify --against-source
  streammf snapshot diff backups/monday
  streammf snapshot restore latest --overwrite
  streammf snapshot digest
  streammf snapshot compact"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Copy, check, restore, compare, fingerprint or compact the store.

    SNAPSHOT: a folder, a URL, a name in store.snapshots, or `latest`.
    """


@command.command()
@click.argument("target", required=False)
@store_flag
@config_flag
@json_flag
def create(target: str | None, store: str | None, file: str | None, as_json: bool) -> None:
    """Write the last commit to TARGET, which is not there yet. The trainer goes on meanwhile.

    TARGET: a folder, or s3://bucket/prefix/name. Default: a name of the time, in store.snapshots.
    """
    from streammf.state import snapshots  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.options import StoreOptions  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.shelf import Folder, shelf_at  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.store import Store  # noqa: PLC0415 - loads numba and LMDB

    options = load(file, flags=settings("store", {"path": ("--store", store)})).of(StoreOptions)
    with Store.open_readonly(Path(options.path), allow_network=options.allow_network) as opened:
        shelf: Shelf
        if target is None:
            shelf, name = shelf_at(options.snapshots), snapshots.usual_name()
        elif "://" in target:
            place, _, name = target.rstrip("/").rpartition("/")
            shelf = shelf_at(place)
        else:
            shelf, name = Folder(Path(target).parent), Path(target).name
        manifest = shelf.add(opened, name)
    path = shelf.path(name)
    _say(as_json, path, manifest, f"{path}: {manifest.events:,} events, {manifest.bytes:,} bytes")


@command.command()
@click.argument("snapshot")
@click.option("--overwrite", is_flag=True, help="Replace the store that is there.")
@click.option("--accept-data-loss", is_flag=True, help="Restore although the log no longer holds its positions.")
@store_flag
@config_flag
@json_flag
def restore(snapshot: str, overwrite: bool, accept_data_loss: bool, store: str | None, file: str | None, as_json: bool) -> None:
    """Make the store what it was when SNAPSHOT was taken. The trainer must be stopped; it then learns on from there.

    `latest` takes the newest good one, and says which it passed over and why.
    """
    from streammf.learning.options import LearningOptions  # noqa: PLC0415 - loads numba
    from streammf.state import shelf as shelves  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state import snapshots  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.options import StoreOptions  # noqa: PLC0415 - loads numba and LMDB

    configuration = load(file, flags=settings("store", {"path": ("--store", store)}))
    options, learning = configuration.of(StoreOptions), configuration.of(LearningOptions)
    shelf, name = shelves.on_shelf(snapshot, options.snapshots)
    with ExitStack() as open_parts:
        lost = None if accept_data_loss else open_parts.enter_context(_log_if_there(configuration))

        def refused(manifest: "Manifest") -> None:
            snapshots.require_ours(manifest, learning)
            if lost and (reason := lost(manifest.positions)):
                raise DataLossError(f"{reason}; --accept-data-loss restores it all the same")

        if name == shelves.LATEST:
            name = shelves.newest_good(shelf, _passed_over, refused)
        else:
            refused(shelf.manifest(name))
        folder = open_parts.enter_context(shelf.fetched(name))
        manifest = snapshots.restore(
            folder, Path(options.path), overwrite=overwrite, learning=learning, allow_network=options.allow_network
        )
    said = f"{options.path}: {manifest.events:,} events restored from {shelf.path(name)}"
    _say(as_json, options.path, manifest, said)


def _passed_over(path: str, reason: str) -> None:
    click.echo(f"passed over {path}: {reason}", err=True)


@contextmanager
def _log_if_there(configuration: Configuration) -> Iterator[Lost | None]:
    """None, and a word about it, where the log cannot be asked: that may be why somebody restores."""
    from streammf.operations.replayable import log_of  # noqa: PLC0415 - loads the trainer

    with ExitStack() as open_parts:
        try:
            lost = open_parts.enter_context(log_of(configuration))
        except SourceError as error:
            click.echo(f"not known whether the log still holds its positions: {error}", err=True)
            lost = None
        yield lost


@command.command()
@click.argument("snapshot", required=False)
@source_flag
@config_flag
@json_flag
@click.pass_context
def verify(context: click.Context, snapshot: str | None, against_source: bool, file: str | None, as_json: bool) -> None:
    """Read SNAPSHOT whole and say whether it is what its manifest says. Default: all in store.snapshots.

    Exit code 6 where one is damaged, 5 where the log no longer holds the positions of one.
    """
    from streammf.state import shelf as shelves  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.options import StoreOptions  # noqa: PLC0415 - loads numba and LMDB

    configuration = load(file)
    options = configuration.of(StoreOptions)
    shelf, name = shelves.on_shelf(snapshot or shelves.LATEST, options.snapshots)
    names = [one.name for one in shelves.listing(shelf)] if snapshot is None else [name]
    if name == shelves.LATEST and snapshot:
        names = names and [shelves.newest_good(shelf, _passed_over)]
    code = ExitCode.DONE
    with _log_if(configuration, against_source) as lost:
        for each in names:
            fault, reason = "", ""
            try:
                reason = lost(shelf.verify(each).positions) if lost else (shelf.verify(each), "")[1]
            except StoreError as error:
                fault, code = str(error), ExitCode.STORE
            if reason and code == ExitCode.DONE:
                code = ExitCode.DATA_LOSS
            _say_fault(as_json, shelf.path(each), fault, reason)
    context.exit(code)


@contextmanager
def _log_if(configuration: Configuration, wanted: bool) -> Iterator[Lost | None]:
    """The log, where somebody asked for it: then it must be there."""
    if not wanted:
        yield None
        return
    from streammf.operations.replayable import log_of  # noqa: PLC0415 - loads the trainer

    with log_of(configuration) as lost:
        yield lost


@command.command()
@click.argument("first")
@click.argument("second", required=False)
@store_flag
@config_flag
@json_flag
def diff(first: str, second: str | None, store: str | None, file: str | None, as_json: bool) -> None:
    """How far the store, or SECOND, has moved from FIRST: positions, counts, and every column's numbers."""
    from streammf.state.difference import difference  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.options import StoreOptions  # noqa: PLC0415 - loads numba and LMDB

    options = load(file, flags=settings("store", {"path": ("--store", store)})).of(StoreOptions)
    with ExitStack() as open_parts:
        opened = [open_parts.enter_context(_opened(said, options.snapshots)) for said in (first, second or options.path)]
        found = difference(*opened)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        click.echo("\n".join(_lines(found)))


@contextmanager
def _opened(said: str, usual: str) -> Iterator["Store"]:
    """A store, or a snapshot once it is proven whole, wherever it is."""
    from streammf.state import shelf as shelves  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state import snapshots  # noqa: PLC0415 - loads numba and LMDB

    shelf, name = shelves.on_shelf(said, usual)
    if name == shelves.LATEST:
        name = shelves.newest_good(shelf, _passed_over)
    with shelf.fetched(name) as folder, snapshots.opened(folder) as store:
        yield store


def _lines(found: "Difference") -> Iterator[str]:
    yield f"events  {found.events[0]:,} -> {found.events[1]:,}, rejected {found.rejected[0]:,} -> {found.rejected[1]:,}"
    for topic, number, before, after in found.positions:
        yield f"position of {topic}/{number}  {_shown(before)} -> {_shown(after)}"
    for topic in found.other_logs:
        yield f"{topic} is not the same log in both"
    for name in found.settings:
        yield f"learning.{name} differs"
    for axis, (before, after) in found.counts.items():
        yield f"rows of {axis}  {before:,} -> {after:,}"
    for axis, number in found.other_ids.items():
        if number:
            yield f"{number:,} rows of {axis} belong to other ids in both, and are not compared"
    for moved in found.columns:
        if moved.changed:
            said = f"{moved.table}.{moved.column}  {moved.changed:,} of {moved.rows:,} rows changed"
            if moved.mean is not None:
                said += f", moved by {moved.mean:.4g} in the mean, {moved.most:.4g} at most (length {moved.length:.4g})"
            yield said


def _shown(position: int | None) -> str:
    return "none" if position is None else f"{position:,}"


@command.command()
@click.argument("path", required=False)
@click.option("--side", type=click.Choice(["all", "items", "users"]), default="all", help="What to cover.")
@store_flag
@config_flag
def digest(path: str | None, side: Literal["all", "items", "users"], store: str | None, file: str | None) -> None:
    """Print the SHA-256 of what a store or a snapshot holds: equal for two exactly when they learned the same.

    PATH: a store or a snapshot. Default: the store of the configuration.
    """
    from streammf.state.digest import digest as digest_of  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.options import StoreOptions  # noqa: PLC0415 - loads numba and LMDB

    options = load(file, flags=settings("store", {"path": ("--store", store)})).of(StoreOptions)
    with _opened(path or options.path, options.snapshots) as opened:
        click.echo(digest_of(opened, side))


@command.command()
@store_flag
@config_flag
@json_flag
def compact(store: str | None, file: str | None, as_json: bool) -> None:
    """Write the store anew, so that its file holds nothing of what was forgotten or dropped. The trainer must be stopped.

    Snapshots that are kept stay as they are: delete those that were taken before something was forgotten.
    """
    from streammf.state import compaction  # noqa: PLC0415 - loads LMDB
    from streammf.state.options import StoreOptions  # noqa: PLC0415 - loads numba and LMDB

    options = load(file, flags=settings("store", {"path": ("--store", store)})).of(StoreOptions)
    before, after = compaction.compact(Path(options.path), allow_network=options.allow_network)
    said = {"path": options.path, "before": before, "after": after}
    click.echo(msgspec.json.encode(said).decode() if as_json else f"{options.path}: {before:,} bytes before, {after:,} now")


@command.command("list")
@click.argument("place", required=False)
@source_flag
@config_flag
@json_flag
def listing(place: str | None, against_source: bool, file: str | None, as_json: bool) -> None:
    """Name the snapshots in PLACE, a folder or a URL, oldest first, and what is wrong with them. Default: store.snapshots."""
    from streammf.state import shelf as shelves  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.options import StoreOptions  # noqa: PLC0415 - loads numba and LMDB

    configuration = load(file)
    shelf = shelves.shelf_at(place or configuration.of(StoreOptions).snapshots)
    with _log_if(configuration, against_source) as lost:
        for one in shelves.listing(shelf):
            path = shelf.path(one.name)
            if one.manifest is None:
                _say_fault(as_json, path, one.fault, "")
                continue
            reason = lost(one.manifest.positions) if lost else ""
            said = f"{path}  {one.manifest.created}  {one.manifest.events:,} events  {one.manifest.bytes:,} bytes"
            _say(
                as_json,
                path,
                one.manifest,
                f"{said}  LOST: {reason}" if reason else said,
                **({"lost": reason} if reason else {}),
            )


def _say(as_json: bool, path: str, manifest: "Manifest", line: str, **more: str) -> None:
    click.echo(msgspec.json.encode({"path": path, **msgspec.to_builtins(manifest), **more}).decode() if as_json else line)


def _say_fault(as_json: bool, path: str, fault: str, lost: str) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"path": path, "good": not fault, "fault": fault, "lost": lost}).decode())
    else:
        click.echo(f"{path}  " + (f"DAMAGED: {fault}" if fault else f"whole, but LOST: {lost}" if lost else "whole"))
