"""Publishes at QoS 1 what it reads from standard input, a message a line of JSON: topic, text, and size and key if any.

Says "published" for each acknowledgement of the broker, on standard output.
"""

import json
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

host, port = sys.argv[1], int(sys.argv[2])


def tell(event):
    sys.stdout.write(json.dumps({"event": event}) + "\n")
    sys.stdout.flush()


client = mqtt.Client(protocol=mqtt.MQTTv5)
client.max_inflight_messages_set(100)
client.on_connect = lambda *_: tell("connected")
client.on_publish = lambda *_: tell("published")
client.connect(host, port)
client.loop_start()
for line in sys.stdin:
    message = json.loads(line)
    payload = message["text"].encode()
    payload += b"\0" * (message.get("size", 0) - len(payload))
    properties = Properties(PacketTypes.PUBLISH)
    if "key" in message:
        properties.UserProperty = [("key", message["key"])]
    client.publish(message["topic"], payload, qos=1, properties=properties)
client.disconnect()
client.loop_stop()
