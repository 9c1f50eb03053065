"""Publishes at QoS 1 what it reads from standard input, a message a line of JSON: topic, text, and size and key if any.

Says "published" for each acknowledgement of the broker, on standard output. What was not acknowledged when a connection
broke is published again on the next one; paho does that by itself.
"""

import argparse
import json
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

parser = argparse.ArgumentParser()
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("--version", type=int, default=5, help="4 is MQTT 3.1.1")
options = parser.parse_args()


def tell(event):
    sys.stdout.write(json.dumps({"event": event}) + "\n")
    sys.stdout.flush()


client = mqtt.Client(protocol=options.version)
client.reconnect_delay_set(min_delay=1, max_delay=2)
client.max_inflight_messages_set(100)
client.on_connect = lambda _client, _data, _flags, code, _properties=None: code == 0 and tell("connected")
client.on_publish = lambda *_: tell("published")
client.connect(options.host, options.port)
client.loop_start()
for line in sys.stdin:
    message = json.loads(line)
    payload = message["text"].encode()
    payload += b"\0" * (message.get("size", 0) - len(payload))
    properties = None
    if "key" in message:
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = [("key", message["key"])]
    client.publish(message["topic"], payload, qos=1, properties=properties)
client.disconnect()
client.loop_stop()
