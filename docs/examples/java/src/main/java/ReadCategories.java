import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Keep the category of each product, as a subscriber does; ends when nothing has come for six seconds. */
public final class ReadCategories {
    private static final String TOPIC = "products.categorized";

    public static void main(String[] arguments) throws IOException {
        var registry = new Registry("http://127.0.0.1:8081/apis/ccompat/v7");
        Schema ours = registry.latest(TOPIC + "-value").schema();
        Map<String, Object> settings = Map.of(
                "bootstrap.servers", "127.0.0.1:9092",
                "group.id", "shop-export",
                "isolation.level", "read_committed", // not the default of this client
                "auto.offset.reset", "earliest",
                "enable.auto.commit", "false");
        Map<String, String> categories = new HashMap<>();
        Set<String> done = new HashSet<>(); // where it counts: a unique column, written with the category
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(TOPIC));
            ConsumerRecords<String, byte[]> events;
            while (!(events = consumer.poll(Duration.ofSeconds(6))).isEmpty()) {
                for (ConsumerRecord<String, byte[]> event : events) {
                    // topic/partition/offset of the input: the same if the event is repeated
                    var place = new String(event.headers().lastHeader("ce_id").value(), StandardCharsets.UTF_8);
                    if (!done.add(place)) {
                        continue;
                    }
                    if (event.value() == null) {
                        categories.remove(event.key()); // withdrawn
                    } else {
                        GenericRecord category = decode(registry, ours, event.value());
                        categories.put(event.key(), category.get("category_path").toString());
                    }
                }
                consumer.commitSync(); // once all of them are dealt with
            }
        }
        System.out.println(categories.size() + " products have a category");
    }

    /** Read with the schema that the value was written with, and see it as ours: a newer writer does no harm. */
    private static GenericRecord decode(Registry registry, Schema ours, byte[] value) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(value);
        if (bytes.get() != 0) {
            throw new IOException("not in Confluent's wire format");
        }
        Schema writers = registry.byId(bytes.getInt());
        var decoder = DecoderFactory.get().binaryDecoder(value, bytes.position(), bytes.remaining(), null);
        return new GenericDatumReader<GenericRecord>(writers, ours).read(null, decoder);
    }
}
