"""A worker as anybody would write it with paho: subscribes, works on each job, and by returning acknowledges it.

Events are lines of JSON on standard output: connected, subscribed, message. It subscribes when a line comes on standard
input, so that several workers can begin at the same moment; and again whenever it had to connect again.
"""

import argparse
import json
import sys
import threading
import time

import paho.mqtt.client as mqtt

parser = argparse.ArgumentParser()
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("filter")
parser.add_argument("--version", type=int, default=5, help="4 is MQTT 3.1.1")
parser.add_argument("--seconds", type=float, default=0, help="how long a job takes")
parser.add_argument("--stuck", action="store_true", help="never finish the first job")
options = parser.parse_args()
begun = threading.Event()


def tell(event, **fields):
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def on_connect(client, _data, _flags, code, _properties=None):
    if code != 0:
        return
    tell("connected")
    if begun.is_set():
        client.subscribe(options.filter, qos=0)


def on_message(_client, _data, message):
    pairs = dict(getattr(getattr(message, "properties", None), "UserProperty", []))
    text = message.payload[:256].rstrip(b"\0").decode()
    tell("message", topic=message.topic, text=text, size=len(message.payload), qos=message.qos, key=pairs.get("key"))
    if options.stuck:
        threading.Event().wait()
    time.sleep(options.seconds)


client = mqtt.Client(protocol=options.version)
client.reconnect_delay_set(min_delay=1, max_delay=2)
client.on_connect = on_connect
client.on_subscribe = lambda *_: tell("subscribed")
client.on_message = on_message
client.connect(options.host, options.port)
client.loop_start()
sys.stdin.readline()
begun.set()
client.subscribe(options.filter, qos=0)
for _ in sys.stdin:
    pass
client.disconnect()
client.loop_stop()
