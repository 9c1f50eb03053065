"""Links between nodes that lose, delay, reorder, duplicate and corrupt what passes.

For kernels without netem. Each link of a node is taken off its bridge and led through this process: what the node sends
to another node is disturbed, what it exchanges with the clients of the test is not. Prints `ready` when it carries
frames, and what it did, as JSON, when it is ended by SIGTERM. Offloads must be off: a frame has to be one packet with
its checksum.

    bad-links.py '{"links": [["outer", "inner"], ...], "client": "10.0.0.1", "seed": 1,
                   "loss": 0.05, "delayMs": 100, "jitterMs": 20, "reorder": 0, "duplicate": 0, "corrupt": 0}'
"""

import heapq
import itertools
import json
import random
import select
import signal
import socket
import struct
import sys
import time

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_IGNORE_OUTGOING = 23
PACKET_STATISTICS = 6
SO_RCVBUFFORCE = 33
RECEIVE_BYTES = 8 << 20
FRAME_BYTES_MAX = 65535
FRAMES_AT_ONCE = 64
IPV4 = b"\x08\x00"
IP_HEADER_END = 34

spec = json.loads(sys.argv[1])
chance = random.Random(spec["seed"])
client = socket.inet_aton(spec["client"])
# `overrun`: lost because this process did not come to take them, which nobody asked for.
kinds = ["packets", "lost", "delayed", "reordered", "duplicated", "corrupted", "undeliverable", "overrun"]
counts = dict.fromkeys(kinds, 0)
running = True


def end(*_):
    global running
    running = False


def opened(interface):
    end_ = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    end_.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    end_.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
    end_.bind((interface, 0))
    end_.setblocking(False)
    return end_


def between_nodes(frame):
    return frame[12:14] == IPV4 and frame[26:30] != client and frame[30:34] != client


def forward(out, frame):
    try:
        out.send(frame)
    except OSError:
        counts["undeliverable"] += 1


def disturb(out, frame, now):
    counts["packets"] += 1
    if chance.random() < spec["loss"]:
        counts["lost"] += 1
        return
    if chance.random() < spec["corrupt"]:
        counts["corrupted"] += 1
        frame = bytearray(frame)
        frame[chance.randrange(IP_HEADER_END, len(frame))] ^= 1 << chance.randrange(8)
    if chance.random() < spec["reorder"]:
        # It overtakes what is on its way.
        counts["reordered"] += 1
        at = now
    else:
        delay_ms = spec["delayMs"] + chance.uniform(-spec["jitterMs"], spec["jitterMs"])
        if delay_ms > 0:
            counts["delayed"] += 1
        at = last[out] = max(last[out], now + delay_ms / 1000)
    copies = 1
    if chance.random() < spec["duplicate"]:
        counts["duplicated"] += 1
        copies = 2
    for _ in range(copies):
        if at <= now:
            forward(out, frame)
        else:
            # The number keeps what is due at once in order.
            heapq.heappush(waiting, (at, next(numbers), out, frame))


signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
ready_ends = select.epoll()
ends = {}
last = {}
waiting = []
numbers = itertools.count()
for outer, inner in spec["links"]:
    node, others = opened(outer), opened(inner)
    ends[node.fileno()] = (node, others, True)
    ends[others.fileno()] = (others, node, False)
    last[others] = 0.0
    for end_ in (node, others):
        ready_ends.register(end_.fileno(), select.EPOLLIN)
print("ready", flush=True)
while running:
    now = time.monotonic()
    while waiting and waiting[0][0] <= now:
        _, _, out, frame = heapq.heappop(waiting)
        forward(out, frame)
    timeout = min(0.5, waiting[0][0] - now) if waiting else 0.5
    for fd, _ in ready_ends.poll(max(0, timeout)):
        source, out, is_from_node = ends[fd]
        for _ in range(FRAMES_AT_ONCE):
            try:
                frame = source.recv(FRAME_BYTES_MAX)
            except (BlockingIOError, OSError):
                break
            if is_from_node and between_nodes(frame):
                disturb(out, frame, time.monotonic())
            else:
                forward(out, frame)
for end_, _, _ in ends.values():
    _, drops = struct.unpack("II", end_.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    counts["overrun"] += drops
print(json.dumps(counts), flush=True)
