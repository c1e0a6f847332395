"""``frugalfl node``: take part in federations from this device, in one small process."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from frugalfl.approved import is_digest, read_approved
from frugalfl.atomic import open_to_others
from frugalfl.errors import Interrupted, UsageError
from frugalfl.help import epilog
from frugalfl.idle import IDLE_S
from frugalfl.text import MOST_OF_A_LINE, printable

command = typer.Typer(rich_markup_mode="markdown", add_completion=False)

_EPILOG = """
Examples:

- frugalfl node --superlink 192.168.1.10:8000 --insecure
  --node-config "partition-id=0 num-partitions=2"

- frugalfl node --superlink fl.example.org:8000 --root-certificates ca.crt
  --auth-supernode-private-key node0 --node-config "partition-id=0 num-partitions=2"
  --approved approved.json

It takes the place of flower-supernode, and works for the same runs. Behind a proxy set https_proxy.
How to set up a server: docs/deploy.md.

Which app may run here, you decide. --approved takes the list that frugalfl approve wrote on the
machine of somebody you trust: only its apps and training programs run. --app-hash and
--trusted-entities name apps; --app runs your own copy. With none of these the first app of a
SuperLink is pinned, as are its training programs, and a changed one is refused, in one line that
says how to accept it: frugalfl accept, which works while the node runs.
"""


@command.command(epilog=epilog(_EPILOG))
def node(
    superlink: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where the SuperLink listens.")
    ],
    insecure: Annotated[
        bool, typer.Option("--insecure", help="No encryption: on this machine or in a lab only.")
    ] = False,
    root_certificates: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PEM file with the CA that signed the SuperLink's "
                     "certificate; without it, what this system trusts."),
    ] = None,
    auth_supernode_private_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="This node's registered P-384 key, made with ssh-keygen "
                     "-t ecdsa -b 384; without it the node makes one, for a SuperLink that takes "
                     "any."),
    ] = None,
    node_config: Annotated[
        str,
        typer.Option(metavar="TEXT", help="Which client this is, and more: partition-id=0 "
                     "num-partitions=2 link='lte' device settings as in docs/settings.md."),
    ] = "",
    app: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Use the app in this folder, and fetch none."),
    ] = None,
    app_hash: Annotated[
        list[str] | None,
        typer.Option(metavar="HASH", help="SHA-256 of an app bundle that may run; may be given "
                     "several times."),
    ] = None,
    trusted_entities: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML, as for flower-supernode: ids of keys and the keys "
                     "(ssh-ed25519 ...) whose signed apps may run."),
    ] = None,
    approved: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="List of apps and training programs that may run, "
                     "written by frugalfl approve; read again when it changes."),
    ] = None,
    state_dir: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="What the device keeps; otherwise client-N, by "
                     "partition-id, in $FRUGALFL_HOME or ~/.frugalfl."),
    ] = None,
    poll: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.05, help="Shortest wait between two questions for "
                     "work, in a run."),
    ] = 0.25,
    idle_poll: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.05, help="Longest wait, when nothing happens; the "
                     "first round of a run may wait so long for this node."),
    ] = IDLE_S,
) -> None:  # fmt: skip
    """Wait for rounds of a Flower SuperLink, train on this device's own rows, answer."""
    from frugalfl_client.node.channel import Address, Channel, trust

    if insecure and (root_certificates or auth_supernode_private_key):
        raise UsageError(
            "--insecure goes with neither --root-certificates nor --auth-supernode-private-key: "
            "leave it out for TLS"
        )
    if idle_poll < poll:
        raise UsageError(f"--idle-poll {idle_poll:g} is shorter than --poll {poll:g}")
    if app is not None and not app.is_dir():
        raise UsageError(f"--app {app} is no folder")
    for wrong in [one for one in app_hash or [] if not is_digest(one)]:
        raise UsageError(f"--app-hash {wrong!r} is no SHA-256: write its 64 digits, in lower case")
    if approved is not None:
        read_approved(approved)
    address = Address.parse(superlink)
    channel = Channel(address, None if insecure else trust(root_certificates))
    _say(f"connecting to {address}")

    from frugalfl_client.approvals import APPROVED, Approvals
    from frugalfl_client.node.apps import Apps
    from frugalfl_client.node.flower import Fleet, node_settings, public_key_of
    from frugalfl_client.node.heart import Heart
    from frugalfl_client.node.home import Home
    from frugalfl_client.node.keys import own_key, read_key
    from frugalfl_client.node.node import Node
    from frugalfl_client.node.outbox import Outbox
    from frugalfl_client.node.pace import Pace
    from frugalfl_client.node.signatures import read_entities
    from frugalfl_client.node.trust import Trust
    from frugalfl_client.owner import VOICE, check_node_config
    from frugalfl_client.pins import Pins

    sys.dont_write_bytecode = True  # the folder of an app is to hold nothing but its files
    config = node_settings(node_config)
    check_node_config(config)
    # What it refuses is an answer that failed, which the node says anyway.
    VOICE.kept, VOICE.refused = _say, lambda _: None
    state = state_dir or Path(str(config.get("state-dir") or _default_state(config)))
    config["state-dir"] = str(state.absolute())
    os.umask(0o077)  # also for what libraries write: an app, and what it keeps here
    if approved is not None:
        config[APPROVED] = str(approved.absolute())
    pins = Pins(state.absolute())
    trust_in = Trust(
        str(address), pins, frozenset(app_hash or ()),
        None if trusted_entities is None else read_entities(trusted_entities.expanduser()),
        Approvals.of(config, pins.folder).listed,
    )  # fmt: skip
    home = Home(state.absolute())
    if warning := open_to_others(state):
        _say(warning)
    try:
        given = auth_supernode_private_key
        key = own_key(home.key) if given is None else read_key(given.expanduser())
        outbox = Outbox(home.outbox)
    except OSError as error:
        raise UsageError(f"cannot write to {state}: {error.strerror}; free some space") from error
    public = public_key_of(key)
    fleet = Fleet(channel, key)
    at_work = Node(
        fleet, Apps(home.apps, trust_in, app and app.absolute(), _say), outbox,
        Heart(fleet, idle_poll),
        Pace(poll, idle_poll, time.monotonic()), config, _say,
        known_as=home.node_at(str(address), public), registers=given is None,
        remember=lambda name: home.remember(str(address), public, name),
    )  # fmt: skip
    pressed: list[int] = []

    def on_signal(number: int, frame: Any) -> None:
        pressed.append(number)
        at_work.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    try:
        at_work.run()
    finally:
        if given is None and at_work.signed_off:
            home.key.unlink(missing_ok=True)  # once unregistered, a SuperLink takes it never again
    if signal.SIGINT in pressed:
        raise Interrupted(f"stopped; what the device holds is kept in {state}")


def _default_state(config: dict[str, Any]) -> Path:
    """Return where a device of that number keeps its state with any node."""
    if "partition-id" not in config:
        raise UsageError(
            "which client is this? add --node-config 'partition-id=0 num-partitions=2', or "
            "--state-dir FOLDER"
        )
    number = str(config["partition-id"])
    if not (number.isascii() and number.isdigit()):
        raise UsageError(f"partition-id is {number!r}; it is the number of this client, from 0")
    home = Path(os.environ.get("FRUGALFL_HOME") or Path.home() / ".frugalfl")
    return home / f"client-{number}"


def _say(text: str) -> None:
    """Print a line; much of it is what the server says."""
    typer.echo(f"{time.strftime('%H:%M:%S')} {printable(text, MOST_OF_A_LINE)}")
