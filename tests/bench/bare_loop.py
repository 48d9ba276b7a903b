"""The least that a worker in Python can do for commands in Redis.

Takes 100 commands in one script that remembers them, decodes them, writes 100 results in one
pipeline. A program of its own, as the agent is:

    python bare_loop.py URL COUNT

Writes `ready`, then serves the list `commands` until COUNT results are written, then `done`.
"""

from __future__ import annotations

import sys

import msgspec
import redis

BATCH = 100
RETENTION_MS = 300_000
COMMANDS, CLAIMED = "bare:commands", "bare:claimed"

_CLAIM = """
local taken = redis.call('LPOP', KEYS[1], ARGV[1])
for _, payload in ipairs(taken or {}) do
  redis.call('HSET', KEYS[2], payload, 'claimed')
end
return taken
"""


def serve(client: redis.Redis, count: int) -> None:
    """Serve the list until so many results are written."""
    claim = client.register_script(_CLAIM)
    claim(keys=[COMMANDS, CLAIMED], args=[BATCH])  # known to the server from now on
    decode = msgspec.msgpack.Decoder(dict).decode
    encode = msgspec.msgpack.Encoder().encode
    print("ready", flush=True)
    done = 0
    while done < count:
        client.blmove(COMMANDS, COMMANDS, 0, "LEFT", "LEFT")
        while payloads := claim(keys=[COMMANDS, CLAIMED], args=[BATCH]):
            pipeline = client.pipeline(transaction=False)
            for payload in payloads:
                key = f"bare:{decode(payload)['id']}:result"
                pipeline.rpush(key, encode({"id": key, "state": "SUCCESS", "code": 0}))
                pipeline.pexpire(key, RETENTION_MS)
            pipeline.hdel(CLAIMED, *payloads)
            pipeline.execute()
            done += len(payloads)
    print("done", flush=True)


if __name__ == "__main__":
    with redis.Redis.from_url(sys.argv[1], socket_timeout=None) as connection:
        serve(connection, int(sys.argv[2]))
