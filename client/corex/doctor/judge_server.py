"""What is wrong with a server. Pure: facts in, findings out."""

from __future__ import annotations

from collections.abc import Mapping

from corex.doctor.facts import ServerFacts
from corex.doctor.findings import Finding, fine, problem, unknown, warning
from corex.doctor.judge_permissions import judge_permissions

OLDEST = (6, 2)
SLOW = 0.05
"""Seconds of a PING from which on everything feels slow."""
NEARLY_FULL, FULL = 0.8, 0.95
CLOCK_WARNING, CLOCK_PROBLEM = 1.0, 30.0
"""Seconds by which clocks may differ; `expires_at` is counted by those of clients."""
SMALLEST_BUFFER = 1024 * 1024

_NOT_PERMITTED = "unknown: {} is not permitted"


def judge_server(facts: ServerFacts) -> list[Finding]:
    """Judge all that is known of a server."""
    info, config = facts.info, facts.config
    findings = [judge_speed(facts.pings)]
    if not info:
        findings.append(unknown("server", _NOT_PERMITTED.format("INFO")))
    else:
        findings += [judge_version(info), judge_role(info), judge_policy(info, config)]
        findings += [judge_memory(info), judge_persistence(info, config)]
        findings += [judge_writes(info), judge_clients(info, config)]
        findings += [judge_replicas(info, config), judge_mode(info, facts.cluster_state)]
    findings.append(judge_buffers(config))
    findings.append(judge_clock(facts.clock_ahead, facts.clock_error))
    findings += judge_permissions(facts)
    return findings


def judge_speed(pings: list[float]) -> Finding:
    """Judge how fast the server answers."""
    ordered = sorted(pings)
    half, most, worst = (
        ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.95, 1.0)
    )
    text = (
        f"{len(pings)} PINGs: half within {half * 1000:.1f} ms, 95 % within {most * 1000:.1f} ms, "
        f"all within {worst * 1000:.1f} ms"
    )
    if half >= SLOW:
        advice = "look for a far network, slow commands (SLOWLOG) or a swapping machine"
        return warning("reachable", text, advice)
    return fine("reachable", text)


def judge_version(info: Mapping[str, str]) -> Finding:
    """Judge the kind of server and its version."""
    version = info.get("redis_version", "?")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    name = "Redis"
    if "valkey_version" in info or info.get("server_name") == "valkey":
        name = f"Valkey {info.get('valkey_version', '')}".strip() + ", compatible with Redis"
    text = f"{name} {version}"
    if numbers < OLDEST:
        return problem("version", text, "6.2 or newer is needed: update the server")
    return fine("version", text)


def judge_role(info: Mapping[str, str]) -> Finding:
    """Judge whether the server takes writes."""
    role = info.get("role", "?")
    if info.get("redis_mode") == "sentinel":
        advice = "connect to the master that it watches: redis+sentinel://HOST:PORT/SERVICE"
        return problem("role", "this is a Sentinel, which holds no data", advice)
    if role == "slave":
        master = f"{info.get('master_host', '?')}:{info.get('master_port', '?')}"
        return problem("role", f"a replica of {master}", f"connect to the master, {master}")
    return fine("role", role)


def judge_policy(info: Mapping[str, str], config: Mapping[str, str] | None) -> Finding:
    """Judge whether the server drops keys when its memory is full."""
    policy = info.get("maxmemory_policy") or (config or {}).get("maxmemory-policy", "?")
    if policy == "noeviction":
        return fine("eviction", policy)
    when = "now and then" if _int(info, "maxmemory") else "as soon as maxmemory is set"
    text = f"{policy}: jobs, results and leases are dropped {when}, without a word"
    return problem("eviction", text, "CONFIG SET maxmemory-policy noeviction, and in redis.conf")


def judge_memory(info: Mapping[str, str]) -> Finding:
    """Judge how full the memory is."""
    used, most = _int(info, "used_memory"), _int(info, "maxmemory")
    if not most:
        return fine("memory", f"{_mib(used)} used, no maxmemory")
    text = f"{_mib(used)} of {_mib(most)} used ({100 * used // most} %)"
    advice = "raise maxmemory, or keep less: limits.retention and limits.log of the nodes"
    return _judge_fullness("memory", used / most, text, advice)


def _judge_fullness(check: str, part: float, text: str, advice: str) -> Finding:
    """Judge something by what part of it is used."""
    if part >= FULL:
        return problem(check, text, advice)
    if part >= NEARLY_FULL:
        return warning(check, text, advice)
    return fine(check, text)


def judge_persistence(info: Mapping[str, str], config: Mapping[str, str] | None) -> Finding:
    """Judge what a crash of the server loses."""
    if _int(info, "aof_enabled"):
        return _judge_fsync(None if config is None else config.get("appendfsync"))
    advice = "CONFIG SET appendonly yes, and in redis.conf"
    if config is None:
        text = "appendonly is off; whether there are snapshots is " + _NOT_PERMITTED.format(
            "CONFIG"
        )
        return warning("persistence", text, advice)
    if config.get("save"):
        text = "snapshots only: a crash loses what was pushed and finished since the last one"
        return warning("persistence", f"{text} (save {config['save']})", advice)
    text = "none: a restart of the server loses all commands and results"
    return warning("persistence", text, advice)


def _judge_fsync(fsync: str | None) -> Finding:
    losses = {
        "always": "a crash loses nothing that was answered",
        "everysec": "a crash of the machine loses the last second, two at most",
        "no": "a crash of the machine loses what the system has not written, 30 seconds or so",
    }
    if fsync is None:
        text = "appendonly; how often it is written is " + _NOT_PERMITTED.format("CONFIG")
        return unknown("persistence", text)
    text = f"appendonly, appendfsync {fsync}: {losses.get(fsync, 'not known here')}"
    if fsync == "no":
        return warning("persistence", text, "CONFIG SET appendfsync everysec, and in redis.conf")
    return fine("persistence", text)


def judge_writes(info: Mapping[str, str]) -> Finding:
    """Judge whether what is to be kept was written the last time."""
    failed = [
        name
        for name, field in (
            ("append-only file", "aof_last_write_status"),
            ("rewrite of the append-only file", "aof_last_bgrewrite_status"),
            ("snapshot", "rdb_last_bgsave_status"),
        )
        if info.get(field, "ok") != "ok"
    ]
    if failed:
        text = f"failed the last time: {', '.join(failed)}"
        advice = "see the server's log: a full disk, permissions, or no memory for a fork"
        return problem("disk", text, advice)
    return fine("disk", "the last writes succeeded")


def judge_clients(info: Mapping[str, str], config: Mapping[str, str] | None) -> Finding:
    """Judge whether there is room for more connections."""
    connected = _int(info, "connected_clients")
    most = _int(info, "maxclients") or _int(config or {}, "maxclients")
    if not most:
        return fine("connections", f"{connected}; maxclients is not known")
    text = f"{connected} of {most}"
    advice = "raise maxclients (and the server's limit of open files)"
    return _judge_fullness("connections", connected / most, text, advice)


def judge_replicas(info: Mapping[str, str], config: Mapping[str, str] | None) -> Finding:
    """Judge what a failover loses."""
    replicas = _int(info, "connected_slaves")
    if config is None:
        return unknown("replicas", f"{replicas}; min-replicas-to-write is not permitted to be read")
    least = _int(config, "min-replicas-to-write")
    if least > replicas:
        text = f"{replicas}, and min-replicas-to-write is {least}: every write is refused"
        return problem("replicas", text, "start the replicas, or lower min-replicas-to-write")
    if not replicas:
        return fine("replicas", "none")
    if not least:
        text = f"{replicas}, min-replicas-to-write 0: a master cut off from them takes commands "
        advice = "CONFIG SET min-replicas-to-write 1 where a failover is automatic"
        return warning("replicas", f"{text}that a failover then forgets", advice)
    return fine("replicas", f"{replicas}, min-replicas-to-write {least}")


def judge_mode(info: Mapping[str, str], cluster_state: str | None) -> Finding:
    """Judge whether a Cluster is whole."""
    mode = info.get("redis_mode", "standalone")
    if mode != "cluster":
        return fine("mode", mode)
    if cluster_state is None:
        return unknown("mode", "cluster; " + _NOT_PERMITTED.format("CLUSTER INFO"))
    if cluster_state != "ok":
        text = f"cluster, state {cluster_state}: some keys have no master"
        return problem("mode", text, "see CLUSTER NODES: start or replace what is down")
    return fine("mode", "cluster, state ok")


def judge_buffers(config: Mapping[str, str] | None) -> Finding:
    """Judge how long the server waits for slow subscribers."""
    name = "client-output-buffer-limit"
    if config is None:
        return unknown("subscribers", _NOT_PERMITTED.format("CONFIG"))
    words = config.get(name, "").split()
    limits = dict(zip(words[::4], zip(words[1::4], words[2::4], strict=False), strict=False))
    if "pubsub" not in limits:
        return unknown("subscribers", f"{name} is not known")
    hard, soft = (int(size) if size.isdigit() else 0 for size in limits["pubsub"])
    text = f"{name} pubsub: {_mib(hard)} at once, {_mib(soft)} for a while"
    if not hard and not soft:
        advice = f'CONFIG SET {name} "pubsub 32mb 8mb 60", and in redis.conf'
        return warning("subscribers", "one that reads slowly can fill the server's memory", advice)
    if min(size for size in (hard, soft) if size) < SMALLEST_BUFFER:
        advice = f'CONFIG SET {name} "pubsub 32mb 8mb 60": output is read from logs in the meantime'
        return warning("subscribers", f"{text}: they are cut off again and again", advice)
    return fine("subscribers", text)


def judge_clock(ahead: float | None, error: float) -> Finding:
    """Judge whether this machine's clock agrees with the server's."""
    if ahead is None:
        return unknown("clock", _NOT_PERMITTED.format("TIME"))
    apart = max(0.0, abs(ahead) - error)
    which = "ahead of" if ahead > 0 else "behind"
    text = f"the server's is {abs(ahead):.3f} s {which} this machine's (± {error:.3f} s)"
    advice = "set the clocks (NTP): expires_at is counted by them"
    if apart >= CLOCK_PROBLEM:
        return problem("clock", text, advice)
    if apart >= CLOCK_WARNING:
        return warning("clock", text, advice)
    return fine("clock", text)


def _int(values: Mapping[str, str], name: str) -> int:
    text = str(values.get(name, "0"))
    return int(text) if text.isdigit() else 0


def _mib(size: int) -> str:
    return f"{size / (1024 * 1024):.1f} MiB"
