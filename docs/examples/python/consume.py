"""Keep the category of each product, as a subscriber does; ends when nothing has come for six seconds."""

from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

TOPIC = "products.categorized"

deserialize = AvroDeserializer(SchemaRegistryClient({"url": "http://127.0.0.1:8081/apis/ccompat/v7"}))
consumer = Consumer(
    {
        "bootstrap.servers": "127.0.0.1:9092",
        "group.id": "shop-search",
        "isolation.level": "read_committed",  # otherwise also what a dead worker wrote and nobody will commit
        "auto.offset.reset": "earliest",
        "enable.auto.offset.store": False,  # an offset is committed once its event is dealt with, not before
    }
)
consumer.subscribe([TOPIC])

categories: dict[str, list[str]] = {}
done: set[str] = set()  # where it counts: a unique column, written in the transaction that writes the category
repeated = 0
for message in iter(lambda: consumer.poll(6), None):
    if message.error():
        raise SystemExit(str(message.error()))
    product_id = message.key().decode()
    place = dict(message.headers())["ce_id"].decode()  # topic/partition/offset of the input: the same if repeated
    if place in done:
        repeated += 1
    elif message.value() is None:
        categories.pop(product_id, None)  # withdrawn
    else:
        event = deserialize(message.value(), SerializationContext(TOPIC, MessageField.VALUE))
        categories[product_id] = event["category_path"]
    done.add(place)
    consumer.store_offsets(message)
consumer.close()
print(f"{len(categories)} products have a category; {repeated} events were repetitions")
