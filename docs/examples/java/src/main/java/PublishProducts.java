import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Future;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Publish two products, and withdraw a third. */
public final class PublishProducts {
    private static final String TOPIC = "products.created";

    public static void main(String[] arguments) throws Exception {
        var registered = new Registry("http://127.0.0.1:8081/apis/ccompat/v7").latest(TOPIC + "-value");
        Map<String, Object> settings = Map.of("bootstrap.servers", "127.0.0.1:9092");
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> deliveries = new ArrayList<>();
            for (var title : Map.of("java-1", "ATX mid tower case", "java-2", "Graphics card 16 GB GDDR6").entrySet()) {
                GenericRecord product = new GenericRecordBuilder(registered.schema())
                        .set("product_id", title.getKey())
                        .set("title", title.getValue())
                        .set("brand", "Acme")
                        .build();
                deliveries.add(producer.send(event(title.getKey(), encode(registered, product))));
            }
            deliveries.add(producer.send(event("java-3", null)));
            for (var delivery : deliveries) {
                delivery.get(); // throws what Kafka said if it did not take the event
            }
            System.out.println(deliveries.size() + " events delivered");
        }
    }

    private static ProducerRecord<String, byte[]> event(String productId, byte[] value) {
        var event = new ProducerRecord<>(TOPIC, productId, value);
        Map.of("ce_id", UUID.randomUUID().toString(), "ce_source", "/shop", "ce_type", "io.sortline.product.created.v1")
                .forEach((name, text) -> event.headers().add(name, text.getBytes(StandardCharsets.UTF_8)));
        return event;
    }

    /** Confluent's wire format: a zero byte, the schema's id in four bytes, the record in Avro. */
    private static byte[] encode(Registry.Registered registered, GenericRecord product) throws IOException {
        var bytes = new ByteArrayOutputStream();
        var data = new DataOutputStream(bytes);
        data.writeByte(0);
        data.writeInt(registered.id());
        BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(data, null);
        new GenericDatumWriter<GenericRecord>(registered.schema()).write(product, encoder);
        return bytes.toByteArray();
    }
}
