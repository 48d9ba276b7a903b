"""Every Redis key and channel of corex, each as a function. Nothing else spells a key.

The braces are Redis Cluster hash tags: keys with one tag live in one slot, so one script may
change them together.

============================  ============  ============================  =======================
key                           type          lives                         written by → read by
============================  ============  ============================  =======================
`{node:<id>}:commands`        list          until taken                   anyone → node
`{node:<id>}:control`         list          until taken                   anyone → node
`{node:<id>}:claimed`         hash          until finished                node → node, reaper
`{node:<id>}:presence`        hash          lease TTL, renewed            node → anyone
`{node:<id>}:reaper`          string        TTL                           reaper → reapers
`{node:<id>}:lapsed`          string        TTL                           reaper → reapers
`{node:<id>}:rejected`        list, capped  a week after the last         node → operators
`{node:<id>}:logger:<queue>`  list, capped  TTL, renewed by reading       node → subscriber
`{node:<id>}:logged:<queue>`  string        TTL, renewed by each write    node → node
`{group:<name>}:commands`     list          until taken                   anyone → group’s nodes
`{group:<name>}:claimed`      hash          until finished                group’s nodes
`{group:<name>}:leases`       zset          while nodes serve the group   group’s nodes
`{queue:<name>}:owner`        hash          lease TTL, renewed            nodes
`{queue:<name>}:waiters`      list          a day, renewed while waited   nodes
`{queue:<name>}:seen`         hash          a day, renewed while in use   nodes
`{queue:<name>}:token`        int           a year after the last grant   nodes
`{queue:<name>}:news`         channel       –                             nodes
`{job:<id>}:state`            hash          until finished + retention    node → clients
`{job:<id>}:result`           list of one   retention                     node → clients
`{job:<id>}:log`              stream        retention                     node → clients
`{job:<id>}:stream`           channel       –                             node → clients
`log:<node>`                  channel       –                             node → operators
`events`                      channel       –                             node → anyone
`nodes`                       zset          –                             node → anyone
`{client:<id>}:inbox`         list          TTL, renewed by each result   node → client
`{run:<id>}:record`           string        an hour after the run’s end   client → clients
`{run:<id>}:journal`          list          an hour after the run’s end   client → clients
`{run:<id>}:driver`           hash          lease TTL, renewed            client → clients
`{run:<id>}:token`            int           an hour after the run’s end   clients
`{run:<id>}:cancel`           string        an hour after the run’s end   client → clients
============================  ============  ============================  =======================

Every name is preceded by the namespace (`corex:` by default).
"""

from __future__ import annotations

from dataclasses import dataclass

from corex_shared.identifiers import check_id

DEFAULT_NAMESPACE = "corex"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one namespace. Identifiers given to its functions must be valid already."""

    namespace: str = DEFAULT_NAMESPACE

    def __post_init__(self) -> None:
        """Refuse a namespace that is not an identifier.

        Raises:
            InvalidIdError: it is not.
        """
        check_id("namespace", self.namespace)

    def commands(self, node: str) -> str:
        """List of inbound commands of a node, taken from the left."""
        return f"{self.namespace}:{{node:{node}}}:commands"

    def control(self, node: str) -> str:
        """List of commands that wait for nothing."""
        return f"{self.namespace}:{{node:{node}}}:control"

    def claimed(self, node: str) -> str:
        """Hash of claimed and unfinished commands of a node (see lua/claim.lua)."""
        return f"{self.namespace}:{{node:{node}}}:claimed"

    def presence(self, node: str) -> str:
        """Hash with a TTL: heartbeat and lease of a node."""
        return f"{self.namespace}:{{node:{node}}}:presence"

    def reaper(self, node: str) -> str:
        """Who settles, or has settled, the jobs of a node that is gone (see lua/reap_note.lua)."""
        return f"{self.namespace}:{{node:{node}}}:reaper"

    def lapsed(self, node: str) -> str:
        """Absence of a node of which `events` has heard (see lua/reap_tell.lua)."""
        return f"{self.namespace}:{{node:{node}}}:lapsed"

    def rejected(self, node: str) -> str:
        """Capped list of payloads that a node could not take, newest first, each as JSON."""
        return f"{self.namespace}:{{node:{node}}}:rejected"

    def logger(self, node: str, queue: str) -> str:
        """Capped list of log records of a node's jobs, which one subscriber takes from the left."""
        return f"{self.namespace}:{{node:{node}}}:logger:{queue}"

    def logged(self, node: str, queue: str) -> str:
        """Last record that was written to the list of a subscriber (see lua/feed.lua)."""
        return f"{self.namespace}:{{node:{node}}}:logged:{queue}"

    def group_commands(self, group: str) -> str:
        """List of commands that any node of a group may take."""
        return f"{self.namespace}:{{group:{group}}}:commands"

    def group_claimed(self, group: str) -> str:
        """Hash of claimed and unfinished commands of a group (see lua/claim.lua)."""
        return f"{self.namespace}:{{group:{group}}}:claimed"

    def group_leases(self, group: str) -> str:
        """Sorted set: `<node>/<incarnation>` → end of its lease, in ms since the epoch."""
        return f"{self.namespace}:{{group:{group}}}:leases"

    def queue_owner(self, queue: str) -> str:
        """Hash with a TTL: the job that holds a fleet-wide queue, its node and its token."""
        return f"{self.namespace}:{{queue:{queue}}}:owner"

    def queue_waiters(self, queue: str) -> str:
        """List of the jobs that wait for a fleet-wide queue, in order, as `<node>/<job>`."""
        return f"{self.namespace}:{{queue:{queue}}}:waiters"

    def queue_seen(self, queue: str) -> str:
        """Hash: node → until when it is taken to wait for a fleet-wide queue, in ms, and more."""
        return f"{self.namespace}:{{queue:{queue}}}:seen"

    def queue_token(self, queue: str) -> str:
        """Last fencing token that was given out for a fleet-wide queue."""
        return f"{self.namespace}:{{queue:{queue}}}:token"

    def queue_news(self, queue: str) -> str:
        """Channel on which nodes hear that a fleet-wide queue has become free."""
        return f"{self.namespace}:{{queue:{queue}}}:news"

    def state(self, job: str) -> str:
        """Hash of a job's node, stage and times."""
        return f"{self.namespace}:{{job:{job}}}:state"

    def result(self, job: str) -> str:
        """List of exactly one: the result."""
        return f"{self.namespace}:{{job:{job}}}:result"

    def log(self, job: str) -> str:
        """Capped stream of a job's messages; the entry of seq n has the ID `<n+1>-0`."""
        return f"{self.namespace}:{{job:{job}}}:log"

    def stream(self, job: str) -> str:
        """Channel of a job's messages, live."""
        return f"{self.namespace}:{{job:{job}}}:stream"

    def node_log(self, node: str) -> str:
        """Channel of the messages of a node that its log levels let through."""
        return f"{self.namespace}:log:{node}"

    def events(self) -> str:
        """Channel of events in the life of nodes and jobs, each as JSON."""
        return f"{self.namespace}:events"

    def nodes(self) -> str:
        """Sorted set: node ID → when it was last seen, in ms since the epoch."""
        return f"{self.namespace}:nodes"

    def inbox(self, client: str) -> str:
        """List on which a client hears of finished jobs."""
        return f"{self.namespace}:{{client:{client}}}:inbox"

    def run_record(self, run: str) -> str:
        """What a run on many nodes is: command, nodes, options, by whom; written once."""
        return f"{self.namespace}:{{run:{run}}}:record"

    def run_journal(self, run: str) -> str:
        """List of what happened in a run, in order: which nodes were started, how they ended."""
        return f"{self.namespace}:{{run:{run}}}:journal"

    def run_driver(self, run: str) -> str:
        """Hash with a TTL: the client that drives a run, and its token."""
        return f"{self.namespace}:{{run:{run}}}:driver"

    def run_token(self, run: str) -> str:
        """Last token that was given to a driver of a run."""
        return f"{self.namespace}:{{run:{run}}}:token"

    def run_cancel(self, run: str) -> str:
        """Who wishes a run to end; there when somebody does."""
        return f"{self.namespace}:{{run:{run}}}:cancel"
