"""``h5daq web``: a page with live plots, the vault's tree, comments, log and control."""

from __future__ import annotations

import logging
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from h5daq.cli.control import add_connection, client_of
from h5daq.cli.parser import Arguments, Subparsers, add_command
from h5daq.cli.run import stop_on_signals
from h5daq.errors import ConfigError, H5daqError

if TYPE_CHECKING:
    from h5daq.client import Client
    from h5daq.files.recent import Recent

__all__ = ["add"]

DEFAULT_PORT = 8571


def add(subparsers: Subparsers) -> None:
    """Add this command."""
    parser = add_command(
        subparsers,
        "web",
        _web,
        summary="Serve a page with live plots, the vault, comments, log and control.",
        details="Needs the extra: pip install 'h5daq[web]'; nothing is loaded from elsewhere.\n"
        "Whoever opens the page may look. To pause, trigger or comment takes the token, which is\n"
        "in the second address that is printed, behind a # and so never sent in a request. It\n"
        "listens on 127.0.0.1; from elsewhere come by ssh -L 8571:127.0.0.1:8571 daq0, or serve\n"
        "it with TLS. On the machine that records, plots go back as far as the files do.",
        examples="h5daq web --directory data\n"
        "h5daq web --connect tcp://daq0:5570 --keys anna.key --port 9000\n"
        "h5daq web --directory data --read-only\n"
        "h5daq web --directory data --host 0.0.0.0 --name daq0.lab --certificate daq0.pem "
        "--key daq0.key",
    )
    add_connection(parser)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"({DEFAULT_PORT})")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (127.0.0.1)")
    parser.add_argument(
        "--name", action="append", default=[], help="name by which browsers reach it (repeatable)"
    )
    token = parser.add_mutually_exclusive_group()
    token.add_argument(
        "--token", help="the token for control; one is made if it is left out. Others see it in "
        "the list of processes: $H5DAQ_WEB_TOKEN and --token-file don't tell it",
    )  # fmt: skip
    token.add_argument("--token-file", type=Path, metavar="FILE", help="a file that only you read")
    token.add_argument("--read-only", action="store_true", help="no control, for nobody")
    parser.add_argument(
        "--private", action="store_true",
        help="to look takes the token, too (always so where others than this machine reach it)",
    )  # fmt: skip
    parser.add_argument("--certificate", type=Path, metavar="PEM", help="serve by TLS, with --key")
    parser.add_argument("--key", type=Path, metavar="PEM", help="the certificate's private key")
    parser.add_argument(
        "--insecure", action="store_true", help="allow another --host than loopback without TLS"
    )


def _web(args: Arguments) -> int:
    from h5daq.monitor.web import Gate, Place, new_token, serve

    names = args.name or ([] if args.host == "127.0.0.1" else [socket.gethostname()])
    place = Place(
        args.port, args.host, tuple(names), args.certificate, args.key, insecure=args.insecure
    )
    token = None if args.read_only else _given(args) or new_token()
    gate = Gate(token, names, private=args.private or not place.is_private)
    with client_of(args) as client:
        archive = _archive(args, client)
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("h5daq.web").setLevel(logging.INFO)  # who orders what
    stop = stop_on_signals()
    with serve(lambda: client_of(args), place, gate, archive) as server:
        if not gate.private:
            print(f"look:    {server.url}", flush=True)
        if token is not None:
            print(f"control: {server.url}#token={token}", flush=True)
        if not place.is_private and place.certificate is None:
            print("this is not encrypted: who is on the network can read along", flush=True)
        stop.wait()
    return 0


def _given(args: Arguments) -> str | None:
    """The token that the user has chosen, if any."""
    if args.token_file is None:
        return args.token or os.environ.get("H5DAQ_WEB_TOKEN") or None
    path: Path = args.token_file
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{path} can be read by others: chmod 600 {path}")
    return path.read_text().strip()


def _archive(args: Arguments, client: Client) -> Recent | None:
    """The run's files, if this process can read them."""
    from h5daq.files.recent import Recent

    directory = args.directory
    if args.connect is not None:
        try:
            directory = client.status()["run"]["directory"]
        except (H5daqError, KeyError):
            return None
    return Recent(directory) if Path(directory).is_dir() else None
