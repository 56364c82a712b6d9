"""`streammf snapshot`: copies of the store, and its digest. Works beside a running trainer, except for `restore`."""

from pathlib import Path
from typing import Literal

import click
import msgspec

from streammf.cli.flags import config_flag, json_flag, settings
from streammf.operations.configuration import load

store_flag = click.option("--store", metavar="FOLDER", help="The store: store.path.")


EXAMPLES = """\b
Examples:
  streammf snapshot create
  streammf snapshot create backups/monday
  streammf snapshot restore backups/monday --overwrite
  streammf snapshot digest"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Copy, restore or fingerprint the store."""


@command.command()
@click.argument("target", required=False)
@store_flag
@config_flag
@json_flag
def create(target: str | None, store: str | None, file: str | None, as_json: bool) -> None:
    """Write the last commit to TARGET, a folder that is not there yet. The trainer goes on meanwhile.

    Default: a folder named by the time, in store.snapshots.
    """
    from streammf.state import snapshots  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.options import StoreOptions  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.store import Store  # noqa: PLC0415 - loads numba and LMDB

    options = load(file, flags=settings("store", {"path": ("--store", store)})).of(StoreOptions)
    with Store.open_readonly(Path(options.path)) as opened:
        path = Path(target) if target else Path(options.snapshots) / snapshots.usual_name()
        manifest = snapshots.create(opened, path)
    _say(as_json, path, manifest, f"{path}: {manifest.events:,} events, {manifest.bytes:,} bytes")


@command.command()
@click.argument("snapshot")
@click.option("--overwrite", is_flag=True, help="Replace the store that is there.")
@store_flag
@config_flag
@json_flag
def restore(snapshot: str, overwrite: bool, store: str | None, file: str | None, as_json: bool) -> None:
    """Make the store what it was when SNAPSHOT was taken. The trainer must be stopped; it then learns on from there."""
    from streammf.state import snapshots  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.options import StoreOptions  # noqa: PLC0415 - loads numba and LMDB

    options = load(file, flags=settings("store", {"path": ("--store", store)})).of(StoreOptions)
    manifest = snapshots.restore(Path(snapshot), Path(options.path), overwrite=overwrite)
    _say(as_json, Path(options.path), manifest, f"{options.path}: {manifest.events:,} events restored")


@command.command()
@click.argument("path", required=False)
@click.option("--side", type=click.Choice(["all", "items", "users"]), default="all", help="What to cover.")
@store_flag
@config_flag
def digest(path: str | None, side: Literal["all", "items", "users"], store: str | None, file: str | None) -> None:
    """Print the SHA-256 of what a store or a snapshot holds: equal for two exactly when they learned the same.

    PATH: a store or a snapshot. Default: the store of the configuration.
    """
    from streammf.state import snapshots  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.digest import digest as digest_of  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.options import StoreOptions  # noqa: PLC0415 - loads numba and LMDB

    options = load(file, flags=settings("store", {"path": ("--store", store)})).of(StoreOptions)
    with snapshots.opened(Path(path or options.path)) as opened:
        click.echo(digest_of(opened, side))


@command.command("list")
@click.argument("folder", required=False)
@config_flag
@json_flag
def listing(folder: str | None, file: str | None, as_json: bool) -> None:
    """Name the snapshots in FOLDER, oldest first. Default: store.snapshots."""
    from streammf.state import snapshots  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.options import StoreOptions  # noqa: PLC0415 - loads numba and LMDB

    for path, manifest in snapshots.listing(Path(folder or load(file).of(StoreOptions).snapshots)):
        _say(as_json, path, manifest, f"{path}  {manifest.created}  {manifest.events:,} events  {manifest.bytes:,} bytes")


def _say(as_json: bool, path: Path, manifest: msgspec.Struct, line: str) -> None:
    click.echo(msgspec.json.encode({"path": str(path), **msgspec.to_builtins(manifest)}).decode() if as_json else line)
