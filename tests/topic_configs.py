"""Changes a topic's configuration; a broker agrees to a change a moment before it goes by it."""

from __future__ import annotations

import time

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

_APPLIED_WITHIN_SECONDS = 20.0


def set_topic_config(bootstrap: str, topic: str, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.incremental_alter_configs([resource])[resource].result(30)
    asked = ConfigResource(ResourceType.TOPIC, topic)
    deadline = time.monotonic() + _APPLIED_WITHIN_SECONDS
    while admin.describe_configs([asked])[asked].result(30)[name].value != value:
        assert time.monotonic() < deadline, f"{topic}: {name}={value} is not applied"
        time.sleep(0.02)
