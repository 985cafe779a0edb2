"""`sortline keys create|list|revoke`: who may use a gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import SetupError

app = typer.Typer(help="Make and revoke the API keys of `sortline serve --api-keys FILE`.", no_args_is_help=True)

FileOption = Annotated[
    Path | None, typer.Option("--file", help="The file of keys [SORTLINE_API_KEYS].", show_default=False)
]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who it is for; shown by `list`, and in no answer.", metavar="NAME")],
    *,
    file: FileOption = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=0.01, help="Products a second, in place of the gateway's --rate-limit."),
    ] = None,
) -> None:
    """Make a key and print it, this once: the file holds only its hash.

    A gateway that runs takes it within a second.

    Examples:
      sortline keys create shop-backend --file /etc/sortline/keys.json
      sortline keys create importer --file keys.json --rate 500 > importer.key
    """
    from datetime import UTC, datetime

    from gateway.key_files import create_key
    from sortline.console import messages

    path = _file(file)
    name = name.strip()
    if not name or len(name) > 200:
        raise SetupError("NAME: expected 1 to 200 characters")
    key, entry = create_key(path, name, now=datetime.now(UTC).replace(microsecond=0), rate=rate)
    typer.echo(key)
    messages().print(
        f"This is the key of {entry.name}, shown only now; `sortline keys revoke {entry.id}` ends it.",
        soft_wrap=True,
    )


@app.command("list")
def list_keys(*, file: FileOption = None) -> None:
    """List the keys by id, in the order in which they were made; the keys themselves are nowhere.

    Examples:
      sortline keys list --file /etc/sortline/keys.json
    """
    from gateway.api_keys import read_key_file
    from sortline.console import Column, LineTable, output, say

    path = _file(file)
    keys = read_key_file(path).keys
    if not keys:
        say(f"{path} has no keys: `sortline keys create NAME` makes one.")
        return
    table = LineTable(
        (
            Column(name="id", width=12),
            Column(name="created (UTC)", width=16),
            Column(name="products/s", width=10, justify="right"),
            Column(name="name", width=50),
        ),
        output(),
    )
    for key in keys:
        rate = "" if key.rate is None else f"{key.rate:g}"
        table.row(key.id, f"{key.created:%Y-%m-%d %H:%M}", rate, key.name)


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="As `list` shows it; also the middle of the key.", metavar="ID")],
    *,
    file: FileOption = None,
) -> None:
    """End a key. A gateway that runs refuses it within a second.

    Examples:
      sortline keys revoke 0f3a9c27be04 --file /etc/sortline/keys.json
    """
    from gateway.key_files import revoke_key
    from sortline.console import say

    entry = revoke_key(_file(file), key_id)
    say(f"The key {entry.id} of {entry.name} is revoked.")


def _file(given: Path | None) -> Path:
    from sortline.settings import read_settings

    found = read_settings(api_keys=given).api_keys
    if found is None:
        raise SetupError("option --file (or SORTLINE_API_KEYS): name the file of keys")
    return found
