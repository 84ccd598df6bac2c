# SPDX-License-Identifier: Apache-2.0
"""`xlt-hub`: serve, status, stop, accounts, and checking what is stored."""

import argparse
import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from xlt_hf import __version__
from xlt_hf.localhub.errors import HubError, StartupError
from xlt_hf.localhub.launch import stop
from xlt_hf.localhub.state import ROOT_VARIABLE, default_root, find_running, is_locked

if TYPE_CHECKING:
    from xlt_hf.localhub.hub import Hub


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except StartupError as error:
        print(f"xlt-hub: {error}", file=sys.stderr)
    except HubError as error:
        print(f"xlt-hub: {error.message}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--root",
        type=Path,
        help=f"data folder (default: ${ROOT_VARIABLE}, or .xlt-hub in the working folder)",
    )
    parser = argparse.ArgumentParser(prog="xlt-hub", description="The embedded Hugging Face Hub of xlt_hf.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", parents=[common], help="serve the data folder until Ctrl-C")
    serve.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)"
    )
    serve.add_argument(
        "--port", type=int, help="port (default: the last one of this data folder, or a free one; 0: any)"
    )
    serve.add_argument("--user", default="xlt-hf", help="user made on the first start (default: %(default)s)")
    serve.set_defaults(run=_serve)

    status = commands.add_parser(
        "status", parents=[common], help="say where the Hub is; exit 3 if it does not run"
    )
    status.add_argument("--json", action="store_true", help="as JSON")
    status.set_defaults(run=_status)

    commands.add_parser("stop", parents=[common], help="stop the Hub").set_defaults(run=_stop)

    user = commands.add_parser("user", help="accounts and tokens").add_subparsers(
        required=True, metavar="COMMAND"
    )
    add = user.add_parser("add", parents=[common], help="add a user if needed, and print a new token")
    add.add_argument("name")
    add.add_argument(
        "--role", choices=("read", "write"), default="write", help="role of the token (default: %(default)s)"
    )
    add.set_defaults(run=_user_add)

    org = commands.add_parser("org", help="organisations").add_subparsers(required=True, metavar="COMMAND")
    new = org.add_parser("add", parents=[common], help="add an organisation if needed, and members to it")
    new.add_argument("name")
    new.add_argument("members", nargs="*", help="users who may write to it")
    new.set_defaults(run=_org_add)

    fsck = commands.add_parser(
        "fsck", parents=[common], help="list missing and corrupt blobs; exit 1 if there are any"
    )
    fsck.add_argument(
        "--prune", action="store_true", help="also remove blobs that nothing names; the Hub must be stopped"
    )
    fsck.set_defaults(run=_fsck)
    return parser


def _root(arguments: argparse.Namespace) -> Path:
    return default_root() if arguments.root is None else arguments.root.absolute()


def _serve(arguments: argparse.Namespace) -> int:
    from xlt_hf.localhub.server import serve

    os.umask(0o077)  # everything under the data folder is its owner's alone
    root = _root(arguments)

    def ready(endpoint: str) -> None:
        print(f"Serving {root} at {endpoint}\nToken: {root / 'token'}", flush=True)

    serve(root, host=arguments.host, port=arguments.port, default_user=arguments.user, on_ready=ready)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    root = _root(arguments)
    running = find_running(root)
    if arguments.json:
        answer = {
            "running": running is not None,
            "endpoint": running.endpoint if running else None,
            "root": str(root),
            "token_file": str(root / "token"),
            "pid": running.pid if running else None,
            "version": running.version if running else __version__,
        }
        print(json.dumps(answer, indent=2))
    elif running:
        print(f"Running at {running.endpoint} (process {running.pid}), data in {root}")
    else:
        print(f"Not running; data folder {root}")
    return 0 if running else 3


def _stop(arguments: argparse.Namespace) -> int:
    stopped = stop(_root(arguments))
    print(f"Stopped {stopped.endpoint}" if stopped else f"Nothing serves {_root(arguments)}")
    return 0


def _user_add(arguments: argparse.Namespace) -> int:
    from xlt_hf.localhub.accounts import add_account, add_token, find_account

    with _open(arguments) as hub, hub.db.write() as db:
        if find_account(db, arguments.name) is None:
            add_account(db, arguments.name)
        token = add_token(db, arguments.name, arguments.role, name=f"cli-{arguments.role}")
    print(token)
    return 0


def _org_add(arguments: argparse.Namespace) -> int:
    from xlt_hf.localhub.accounts import add_account, add_member, find_account

    with _open(arguments) as hub, hub.db.write() as db:
        if find_account(db, arguments.name) is None:
            add_account(db, arguments.name, "org")
        for member in arguments.members:
            add_member(db, arguments.name, member)
    print(f"{arguments.name}: {', '.join(arguments.members) or 'no new members'}")
    return 0


def _fsck(arguments: argparse.Namespace) -> int:
    from xlt_hf.localhub import fsck

    root = _root(arguments)
    if arguments.prune and is_locked(root):
        raise StartupError(f"A server has {root}: `xlt-hub stop` it before --prune.")
    with _open(arguments) as hub:
        report = fsck.check(hub)
        for sha256, problem in report.damaged.items():
            print(problem, *report.used_by[sha256], sep="\n  ")
        print(f"{report.checked} blobs checked, {len(report.damaged)} damaged, {len(report.unused)} unused")
        if arguments.prune:
            print(f"Removed the unused: {fsck.prune(hub, report)} bytes freed")
    return 1 if report.damaged else 0


def _open(arguments: argparse.Namespace) -> "closing[Hub]":
    from xlt_hf.localhub.hub import Hub

    root = _root(arguments)
    if not root.exists():
        raise StartupError(f"There is no data folder {root}: `xlt-hub serve` makes it.")
    return closing(Hub(root))


if __name__ == "__main__":
    sys.exit(main())
