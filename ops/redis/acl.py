"""Users of Redis for corex: prints the ACL rules of one user, as a line for `users.acl`.

    python ops/redis/acl.py node web-1 --group build >> users.acl
    python ops/redis/acl.py client ci --password-file ci.secret >> users.acl
    python ops/redis/acl.py node web-1 --setuser | redis-cli --user admin --askpass

| role       | may                                                                                |
| ---------- | ---------------------------------------------------------------------------------- |
| `node`     | serve one node: its own keys, its groups, fleet-wide queues, jobs, inboxes          |
| `reaper`   | the same, and settle the jobs of all other nodes: the keys of every node and group  |
| `client`   | push to all nodes and groups, drive runs, read results, logs and presence; write    |
|            | none of these                                                                      |
| `operator` | look at everything, change nothing                                                  |
| `admin`    | everything: for whoever manages the users                                           |

The password comes from a file or the environment, or is made here and shown once on standard
error; what is printed has its SHA-256 only. It runs where corex is installed: it knows the keys
from `corex_shared.keys`, and from the scripts themselves what they do.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from corex_shared.errors import ConfigError, CorexError
from corex_shared.identifiers import check_id
from corex_shared.keys import DEFAULT_NAMESPACE, Keys
from corex_shared.scripts import all_scripts, script

ANY = "*"
"""In place of an identifier: the keys of all."""
SELECTORS = (7, 0)
"""Servers from this version on tell reading from writing, and rights by key."""
SHORTEST_PASSWORD = 16
"""Characters below which a password is warned about: its SHA-256 can be guessed."""

_SCRIPT_CALL = re.compile(rb"redis\.p?call\('([A-Z]+)'")
_CONNECTION = (
    *("ping", "select", "client|setname", "client|id", "unsubscribe", "punsubscribe"),
    *("role", "cluster|slots", "asking"),  # who finds its way in a Cluster or after a failover
)
_LOOK = (
    *("exists", "type", "ttl", "pttl", "get", "strlen"),
    *("hget", "hmget", "hgetall", "hlen", "hkeys", "hexists", "hscan"),
    *("lindex", "llen", "lrange", "lpos"),
    *("xrange", "xrevrange", "xlen", "xread"),
    *("zrange", "zrangebyscore", "zscore", "zcard", "zcount"),
)
_TAKE = ("blpop", "lpop", "llen", "lrange")


@dataclass(frozen=True, slots=True)
class Grant:
    """Commands, and the keys and channels that they may name.

    Attributes:
        commands: in lower case, `command|subcommand` for one of several.
        keys: patterns of keys that may be read and written.
        reads: patterns of keys that may be read.
        writes: patterns of keys that may be written.
        channels: patterns of channels.
    """

    commands: Sequence[str]
    keys: Sequence[str] = ()
    reads: Sequence[str] = ()
    writes: Sequence[str] = ()
    channels: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """What a server's version means for its rules."""

    version: tuple[int, int]

    @property
    def has_selectors(self) -> bool:
        """Whether a user can have several sets of rules."""
        return self.version >= SELECTORS

    @property
    def knows_setinfo(self) -> bool:
        """Whether it knows CLIENT SETINFO, which client libraries send (7.2 and later).

        6.2 takes the rule for a subcommand that it does not know; 7.0 refuses it.
        """
        return self.version < SELECTORS or self.version >= (7, 2)


# -- what each role may ---------------------------------------------------------------------------


def node_grants(keys: Keys, node: str, groups: Iterable[str]) -> list[Grant]:
    """Rights to serve a node."""
    own = [_all_beside(keys.commands(node))]
    own += [_all_beside(keys.group_commands(group)) for group in groups]
    return [*_serving(keys, own, keys.node_log(node)), Grant(("zadd",), writes=[keys.nodes()])]


def reaper_grants(keys: Keys) -> list[Grant]:
    """Rights to serve a node, any node, and to settle what others have left."""
    own = [_all_beside(keys.commands(ANY)), _all_beside(keys.group_commands(ANY))]
    roll = ("zadd", "zrange", "zrangebyscore", "zscore", "zrem", "evalsha")
    return [*_serving(keys, own, keys.node_log(ANY)), Grant(roll, [keys.nodes()])]


def _serving(keys: Keys, own: list[str], node_log: str) -> list[Grant]:
    shared = [_all_beside(keys.queue_owner(ANY)), _all_beside(keys.state(ANY))]
    inbox = keys.inbox(ANY)
    news = keys.queue_news(ANY)
    direct = ("blmove", "hscan", "pexpire", "rpush", "unlink", "xrevrange")
    told = [node_log, keys.events(), keys.stream(ANY), news]
    # A script names all its keys at once, so one grant must hold them all; its commands are
    # checked one by one.
    return [
        Grant(("info", "time", "script|load")),
        Grant(("evalsha",), [*own, *shared, inbox]),
        Grant((*_script_commands(), *direct), [*own, *shared]),
        Grant(("rpush", "ltrim", "pexpire"), writes=[inbox]),
        Grant(("publish",), channels=told),
        Grant(("subscribe",), channels=[news]),
    ]


def client_grants(keys: Keys, *, withdraw: bool) -> list[Grant]:
    """Rights to have commands run and to see what became of them.

    Args:
        keys: of the namespace.
        withdraw: whether also to find and end commands that no node has claimed yet, by reading
            the lists and writing the results.
    """
    inbound = [keys.commands(ANY), keys.control(ANY), keys.group_commands(ANY)]
    job = [keys.state(ANY), keys.result(ANY), keys.log(ANY)]
    seen = [*job, keys.presence(ANY), keys.nodes()]
    inbox = keys.inbox(ANY)
    told = [keys.stream(ANY), keys.node_log(ANY), keys.events()]
    grants = [
        Grant(("rpush", "lrem", "lpos", "llen"), inbound),
        Grant(_LOOK, reads=seen),
        Grant(_TAKE, [inbox, keys.logger(ANY, ANY)]),
        Grant(("subscribe", "psubscribe"), channels=told),
        Grant(("zrem",), writes=[keys.nodes()]),  # a node that is there is in it again at once
        Grant(("time", "script|load")),
        Grant(
            ("evalsha", "get", "set", "lrange", *_script_commands("run_begin", "run_drive")),
            [_all_beside(keys.run_record(ANY))],
        ),
    ]
    if withdraw:
        grants += [
            Grant(("evalsha",), [*job, ""]),
            Grant(_script_commands("finish"), job),
            Grant(("blmove", "unlink"), [keys.result(ANY)]),
            Grant(("lrange",), reads=inbound),
            Grant(("rpush", "pexpire"), writes=[inbox]),
            Grant(("publish",), channels=[keys.stream(ANY), keys.node_log(ANY)]),
        ]
    return grants


def operator_grants(keys: Keys) -> list[Grant]:
    """Rights to look."""
    everything = f"{keys.namespace}:*"
    server = ("info", "time", "scan", "dbsize", "lastsave")
    slow = ("slowlog|get", "slowlog|len", "latency|latest", "latency|history", "client|list")
    return [
        Grant((*server, *slow)),
        Grant((*_LOOK, "memory|usage"), reads=[everything]),
        Grant(
            ("subscribe", "psubscribe"),
            channels=[keys.stream(ANY), keys.node_log(ANY), keys.events(), keys.queue_news(ANY)],
        ),
    ]


def _all_beside(key: str) -> str:
    """Pattern of all keys in a key's slot: whatever else its node, group, queue or job has."""
    return key[: key.index("}:") + 2] + ANY


def _script_commands(*names: str) -> list[str]:
    """Commands that scripts run, those of all scripts when none is named."""
    texts = [script(name).text for name in names] or [found.text for found in all_scripts()]
    return sorted({name.decode().lower() for text in texts for name in _SCRIPT_CALL.findall(text)})


# -- rules ----------------------------------------------------------------------------------------


def rules(grants: Sequence[Grant], server: Server) -> list[str]:
    """Write grants as rules of ACL SETUSER.

    Before 7.0 a user has one set of rules: all commands, on all keys. Nothing that a grant allows
    is refused there, but what one grant allows on its keys is allowed on those of the others.
    """
    connection = [f"+{name}" for name in _CONNECTION]
    if server.knows_setinfo:
        connection.append("+client|setinfo")
    root = ["resetkeys", "resetchannels", "-@all", *connection]
    if server.has_selectors:
        keyless = [grant for grant in grants if not _names_of(grant)]
        root += [f"+{name}" for grant in keyless for name in grant.commands]
        return root + [f"({' '.join(_rules(grant))})" for grant in grants if _names_of(grant)]
    patterns: dict[str, None] = {}
    for grant in grants:
        names = [*grant.keys, *grant.reads, *grant.writes]
        patterns.update(dict.fromkeys(f"~{name}" for name in names))
        patterns.update(dict.fromkeys(f"&{name}" for name in grant.channels))
    commands = dict.fromkeys(f"+{name}" for grant in grants for name in grant.commands)
    return [*root, *patterns, *commands]


def _names_of(grant: Grant) -> list[str]:
    return [*grant.keys, *grant.reads, *grant.writes, *grant.channels]


def _rules(grant: Grant) -> list[str]:
    return [
        *(f"~{name}" for name in grant.keys),
        *(f"%R~{name}" for name in grant.reads),
        *(f"%W~{name}" for name in grant.writes),
        *(f"&{name}" for name in grant.channels),
        *(f"+{name}" for name in dict.fromkeys(grant.commands)),
    ]


def user_line(name: str, secret: str, user_rules: Sequence[str], *, setuser: bool = False) -> str:
    """Write one user, with the hash of its password."""
    digest = hashlib.sha256(secret.encode()).hexdigest()
    begin = f"ACL SETUSER {name} reset" if setuser else f"user {name}"
    return " ".join([begin, "on", f"#{digest}", *user_rules])


# -- command line ---------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """Print one user; 0, or 2 when that is not possible."""
    options = _parser().parse_args(arguments)
    try:
        line = _line(options)
    except (CorexError, OSError) as error:
        sys.stderr.write(f"acl.py: {error}\n")
        return 2
    print(line)
    return 0


def _line(options: argparse.Namespace) -> str:
    keys, server = Keys(options.namespace), options.server
    check_id(options.role, options.id)
    for group in options.group:
        check_id("group", group)
    name = check_id("user", options.user or options.id)
    if name == "default":
        raise ConfigError("--user", "", "'default' is everybody who gives no name; choose another")
    if options.role == "client" and not server.has_selectors:
        _say(
            "Redis before 7.0 cannot keep a client from writing results and taking commands off "
            "lists: it has one set of rules for all keys"
        )
    made: dict[str, Callable[[], list[Grant]]] = {
        "node": lambda: node_grants(keys, options.id, options.group),
        "reaper": lambda: reaper_grants(keys),
        "client": lambda: client_grants(keys, withdraw=options.withdraw),
        "operator": lambda: operator_grants(keys),
    }
    if options.role == "admin":
        user_rules = ["~*", "&*", "+@all"]
    else:
        user_rules = rules(made[options.role](), server)
    return user_line(name, _password(options, name), user_rules, setuser=options.setuser)


def _password(options: argparse.Namespace, name: str) -> str:
    """Take the password from where it is, or make one.

    Raises:
        ConfigError: there is none.
    """
    if options.password_file:
        source, secret = options.password_file, Path(options.password_file).read_text().strip()
    elif options.password_env:
        source, secret = options.password_env, os.environ.get(options.password_env, "")
    else:
        secret = secrets.token_urlsafe(32)
        _say(f"password of user {name}, shown this once: {secret}")
        return secret
    if not secret:
        raise ConfigError(source, "", "holds no password")
    if len(secret) < SHORTEST_PASSWORD:
        _say(f"the password of user {name} is short; take {SHORTEST_PASSWORD} characters or more")
    return secret


def _say(text: str) -> None:
    sys.stderr.write(f"acl.py: {text}\n")


def _version(text: str) -> Server:
    match = re.fullmatch(r"(\d+)\.(\d+)(?:\.\d+)?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r}: a version such as 6.2 or 7.0 is expected")
    version = (int(match[1]), int(match[2]))
    if version < (6, 2):
        raise argparse.ArgumentTypeError(f"{text}: 6.2 or newer is needed")
    return Server(version)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="acl.py", description="Print the ACL rules of a Redis user for corex."
    )
    parser.add_argument("role", choices=["node", "reaper", "client", "operator", "admin"])
    parser.add_argument("id", metavar="ID", help="of the node, or a name for the user")
    parser.add_argument("--namespace", default=DEFAULT_NAMESPACE, help="of the fleet (%(default)s)")
    parser.add_argument(
        "--group", action="append", default=[], help="that the node serves; may be repeated"
    )
    parser.add_argument("--user", help="name of the user, if it is not the ID")
    parser.add_argument(
        "--withdraw",
        action="store_true",
        help="client: may also end commands that no node has claimed yet, by writing their results",
    )
    parser.add_argument(
        "--server",
        type=_version,
        default="7.0",
        metavar="VERSION",
        help="of Redis; Valkey counts as 7.2 (%(default)s)",
    )
    parser.add_argument(
        "--setuser",
        action="store_true",
        help="print ACL SETUSER for redis-cli, not a line for users.acl",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--password-file", metavar="FILE", help="that holds the password")
    source.add_argument(
        "--password-env", metavar="NAME", help="environment variable that holds the password"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
