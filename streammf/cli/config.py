"""`streammf config`: the merged configuration."""

import click
import msgspec

from streammf.cli.flags import config_flag, json_flag
from streammf.operations.configuration import load
from streammf.operations.listing import as_objects, as_toml

EXAMPLES = """\b
Examples:
  streammf config
  streammf config --config production.toml
  STREAMMF_LEARNING__FACTORS=64 streammf config --json"""


@click.command(epilog=EXAMPLES)
@config_flag
@json_flag
def command(file: str | None, as_json: bool) -> None:
    """Show every setting, its value and where that comes from. Secrets are hidden.

    What it prints is a configuration file, once the secrets are filled in.
    """
    rows = list(load(file).rows())
    click.echo(msgspec.json.encode(as_objects(rows)).decode() if as_json else as_toml(rows))
