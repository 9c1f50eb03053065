"""A worker as anybody would write it with paho: subscribes, works on each job, and by returning acknowledges it.

Events are lines of JSON on standard output: connected, subscribed, message. It subscribes when a line comes on standard
input, so that several workers can begin at the same moment.
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
parser.add_argument("--seconds", type=float, default=0, help="how long a job takes")
parser.add_argument("--stuck", action="store_true", help="never finish the first job")
options = parser.parse_args()


def tell(event, **fields):
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def on_message(_client, _data, message):
    pairs = dict(getattr(message.properties, "UserProperty", []))
    text = message.payload[:256].rstrip(b"\0").decode()
    tell("message", topic=message.topic, text=text, size=len(message.payload), qos=message.qos, key=pairs.get("key"))
    if options.stuck:
        threading.Event().wait()
    time.sleep(options.seconds)


client = mqtt.Client(protocol=mqtt.MQTTv5)
client.on_connect = lambda *_: tell("connected")
client.on_subscribe = lambda *_: tell("subscribed")
client.on_message = on_message
client.connect(options.host, options.port)
client.loop_start()
sys.stdin.readline()
client.subscribe(options.filter, qos=0)
for _ in sys.stdin:
    pass
client.disconnect()
client.loop_stop()
