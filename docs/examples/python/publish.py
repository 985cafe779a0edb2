"""Publish two products, and withdraw a third."""

from pathlib import Path
from uuid import uuid4

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

TOPIC = "products.created"

serialize = AvroSerializer(
    SchemaRegistryClient({"url": "http://127.0.0.1:8081/apis/ccompat/v7"}),
    Path("schemas/avro/product_created.avsc").read_text(encoding="utf-8"),
    conf={"auto.register.schemas": False},  # the schema is registered by whoever owns the topic
)
producer = Producer(
    {
        "bootstrap.servers": "127.0.0.1:9092",
        "enable.idempotence": True,  # a retry doubles nothing and changes no order
        "partitioner": "murmur2_random",  # as Java's clients: a product keeps its partition, whoever writes
    }
)
refused: list[str] = []


def publish(product_id: str, product: dict[str, object] | None) -> None:
    """Put a product on the topic; None withdraws it."""
    producer.produce(
        TOPIC,
        key=product_id,
        value=None if product is None else serialize(product, SerializationContext(TOPIC, MessageField.VALUE)),
        headers={"ce_id": str(uuid4()), "ce_source": "/shop", "ce_type": "io.sortline.product.created.v1"},
        on_delivery=lambda error, _: refused.append(f"{product_id}: {error}") if error else None,
    )
    producer.poll(0)  # lets on_delivery be called


publish("py-1", {"product_id": "py-1", "title": "ATX mid tower case", "price_minor": 8990, "currency": "EUR"})
publish("py-2", {"product_id": "py-2", "title": "Graphics card 16 GB GDDR6", "brand": "Acme"})
publish("py-3", None)
waiting = producer.flush(30)
if refused or waiting:
    raise SystemExit(f"{waiting} events not delivered in 30 s, refused: {refused}")
print("3 events delivered")
