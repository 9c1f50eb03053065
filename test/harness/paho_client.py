"""A paho client on a string: commands as lines of JSON on standard input, events as lines of JSON on standard output.

connect     host port client_id [version 3|4|5] [clean] [keepalive] [username password] [receive_maximum]
            [session_expiry] [will {topic payload qos retain}]
subscribe   filter qos            unsubscribe  filter
publish     topic payload qos retain [size] [user_properties [[name, value]...]] [expiry]
work        seconds               how long each message takes before it is acknowledged
disconnect
"""

import base64
import json
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def tell(event, **fields):
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def number_of(code):
    """paho gives a ReasonCodes object for MQTT 5 and a number before."""
    return getattr(code, "value", code)


class Puppet:
    def __init__(self):
        self.client = None
        self.version = 4
        self.work_seconds = 0

    def connect(self, command):
        self.version = command.get("version", 4)
        arguments = {"client_id": command["client_id"], "protocol": self.version}
        if self.version != mqtt.MQTTv5:
            arguments["clean_session"] = command.get("clean", True)
        client = self.client = mqtt.Client(**arguments)
        client.max_inflight_messages_set(1000)
        if "username" in command:
            client.username_pw_set(command["username"], command.get("password"))
        if "will" in command:
            will = command["will"]
            client.will_set(will["topic"], will.get("payload"), will.get("qos", 0), will.get("retain", False))
        client.on_connect = lambda _client, _data, flags, code, _properties=None: tell(
            "connected", code=number_of(code), session_present=bool(flags.get("session present", 0))
        )
        client.on_disconnect = lambda _client, _data, code, _properties=None: tell("disconnected", code=number_of(code))
        client.on_subscribe = lambda _client, _data, mid, granted, _properties=None: tell(
            "subscribed", mid=mid, codes=[number_of(code) for code in granted]
        )
        client.on_unsubscribe = lambda _client, _data, mid, *_: tell("unsubscribed", mid=mid)
        client.on_publish = lambda _client, _data, mid: tell("published", mid=mid)
        client.on_message = self.on_message
        more = {}
        if self.version == mqtt.MQTTv5:
            more["clean_start"] = command.get("clean", True)
            properties = more["properties"] = Properties(PacketTypes.CONNECT)
            if "receive_maximum" in command:
                properties.ReceiveMaximum = command["receive_maximum"]
            if "session_expiry" in command:
                properties.SessionExpiryInterval = command["session_expiry"]
        try:
            client.connect(command["host"], command["port"], command.get("keepalive", 60), **more)
            client.loop_start()
        except OSError as error:
            tell("refused", reason=str(error))

    def subscribe(self, command):
        self.client.subscribe(command["filter"], command.get("qos", 0))

    def unsubscribe(self, command):
        self.client.unsubscribe(command["filter"])

    def publish(self, command):
        payload = command.get("payload", "").encode()
        payload += b"\0" * (command.get("size", 0) - len(payload))
        properties = None
        if self.version == mqtt.MQTTv5:
            properties = Properties(PacketTypes.PUBLISH)
            if "user_properties" in command:
                properties.UserProperty = [tuple(pair) for pair in command["user_properties"]]
            if "expiry" in command:
                properties.MessageExpiryInterval = command["expiry"]
        qos, retain = command.get("qos", 0), command.get("retain", False)
        self.client.publish(command["topic"], payload, qos, retain, properties)

    def work(self, command):
        self.work_seconds = command["seconds"]

    def disconnect(self, _command):
        self.client.disconnect()
        self.client.loop_stop()

    def on_message(self, _client, _data, message):
        properties = getattr(message, "properties", None)
        tell(
            "message",
            topic=message.topic,
            payload=base64.b64encode(message.payload[:1024]).decode(),
            size=len(message.payload),
            qos=message.qos,
            retain=bool(message.retain),
            dup=bool(message.dup),
            user_properties=[list(pair) for pair in getattr(properties, "UserProperty", [])],
        )
        # paho acknowledges once this returns.
        time.sleep(self.work_seconds)


def main():
    puppet = Puppet()
    for line in sys.stdin:
        command = json.loads(line)
        getattr(puppet, command["do"])(command)
    if puppet.client is not None:
        puppet.client.disconnect()
        puppet.client.loop_stop()


main()
