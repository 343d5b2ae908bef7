import java.io.IOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * A client of Kafka: {@code KafkaProbe HOST:PORT SECONDS [PORT]}. Waits as long for the broker; makes topics, sends records and gets them back: as they are, squeezed by the
 * client and by the broker, in transactions, by groups of both kinds. At PORT a {@link KafkaServer} starts the broker again, and it must have all of it.
 */
public final class KafkaProbe {
	private static final int RECORDS = 6000, MORE = 1000, PARTITIONS = 3, LONGEST = 2000;
	private static final Duration PATIENCE = Duration.ofSeconds(90);

	private final String address;

	private KafkaProbe(String address) {
		this.address = address;
	}

	private static void want(boolean right, String what) {
		if (!right)
			throw new IllegalStateException(what);
	}

	private interface Step {
		void run() throws Exception;
	}

	private static void step(String name, Step step) throws Exception {
		long begin = System.nanoTime();
		try {
			step.run();
		} catch (Exception e) {
			throw new IllegalStateException(name, e);
		}
		System.out.println("ok " + name + " " + (System.nanoTime() - begin) / 1_000_000 + " ms");
	}

	private Map<String, Object> options(Object... more) {
		Map<String, Object> all = new TreeMap<>(Map.of("bootstrap.servers", address, "request.timeout.ms", 60_000, "default.api.timeout.ms", 90_000));
		for (int i = 0; i < more.length; i += 2)
			all.put((String)more[i], more[i + 1]);
		return all;
	}

	private Admin admin() {
		return Admin.create(options());
	}

	private KafkaProducer<String, byte[]> producer(Object... more) {
		return new KafkaProducer<>(options(more), new StringSerializer(), new ByteArraySerializer());
	}

	private KafkaConsumer<String, byte[]> consumer(Object... more) {
		return new KafkaConsumer<>(options(more), new StringDeserializer(), new ByteArrayDeserializer());
	}

	private static byte[] value(int number) {
		return Answers.bytes(number * 7 % LONGEST);
	}

	private void await(int seconds) throws Exception {
		long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
		for (;;)
			try (Admin admin = Admin.create(options("request.timeout.ms", 5_000, "default.api.timeout.ms", 5_000))) {
				want(admin.describeCluster().nodes().get().size() == 1, "the cluster has not one node");
				return;
			} catch (Exception e) {
				if (System.nanoTime() > end)
					throw e;
			}
	}

	/**
	 * Returns when every partition has its log: until then a broker refuses the first batch, but may take the second, and then it never takes the first again. That a topic has been
	 * made, or has leaders, says less.
	 */
	private void topics() throws Exception {
		Map<String, String> small = Map.of("segment.bytes", "1048576");
		List<NewTopic> topics = List.of(new NewTopic("plain", PARTITIONS, (short)1).configs(small), new NewTopic("squeezed", PARTITIONS, (short)1).configs(small),
			new NewTopic("broker-squeezes", PARTITIONS, (short)1).configs(Map.of("compression.type", "zstd")), new NewTopic("transactions", 1, (short)1));
		Map<TopicPartition, OffsetSpec> all = new HashMap<>();
		for (NewTopic topic : topics)
			for (int i = 0; i < topic.numPartitions(); i++)
				all.put(new TopicPartition(topic.name(), i), OffsetSpec.latest());
		try (Admin admin = admin()) {
			admin.createTopics(topics).all().get();
			want(admin.listOffsets(all).all().get().values().stream().allMatch(one -> one.offset() == 0), "a new topic is not empty");
		}
	}

	private static void send(KafkaProducer<String, byte[]> producer, String topic, int from, int to) throws Exception {
		List<Future<RecordMetadata>> sent = new ArrayList<>();
		for (int i = from; i < to; i++)
			sent.add(producer.send(new ProducerRecord<>(topic, Integer.toString(i), value(i))));
		for (Future<RecordMetadata> one : sent)
			one.get();
	}

	private void produce(String topic, int from, int to, Object... more) throws Exception {
		try (KafkaProducer<String, byte[]> producer = producer(more)) {
			send(producer, topic, from, to);
		}
	}

	/** Each record once, with its own value, until {@code count} are there. */
	private static void collect(KafkaConsumer<String, byte[]> consumer, int count) {
		BitSet seen = new BitSet();
		long end = System.nanoTime() + PATIENCE.toNanos();
		while (seen.cardinality() < count) {
			want(System.nanoTime() < end, seen.cardinality() + " of " + count + " records came");
			for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofMillis(500))) {
				int number = Integer.parseInt(record.key());
				want(Arrays.equals(record.value(), value(number)), "record " + number + " has another value");
				want(!seen.get(number), "record " + number + " came twice");
				seen.set(number);
			}
		}
		want(seen.length() == count, "record " + (seen.length() - 1) + " was never sent");
	}

	private static List<TopicPartition> partitions(KafkaConsumer<String, byte[]> consumer, String topic) {
		List<TopicPartition> all = new ArrayList<>();
		for (PartitionInfo one : consumer.partitionsFor(topic))
			all.add(new TopicPartition(topic, one.partition()));
		return all;
	}

	private void consume(String topic, int count, Object... more) {
		try (KafkaConsumer<String, byte[]> consumer = consumer(more)) {
			List<TopicPartition> all = partitions(consumer, topic);
			consumer.assign(all);
			consumer.seekToBeginning(all);
			collect(consumer, count);
		}
	}

	/** A group gets everything once and leaves its offsets behind. */
	private void group(String protocol) {
		Object[] options = { "group.id", "group-" + protocol, "group.protocol", protocol, "auto.offset.reset", "earliest", "enable.auto.commit", false };
		try (KafkaConsumer<String, byte[]> consumer = consumer(options)) {
			consumer.subscribe(List.of("plain"));
			collect(consumer, RECORDS);
			consumer.commitSync();
		}
		committed(protocol);
	}

	private void committed(String protocol) {
		try (KafkaConsumer<String, byte[]> consumer = consumer("group.id", "group-" + protocol)) {
			List<TopicPartition> all = partitions(consumer, "plain");
			long sum = consumer.committed(new HashSet<>(all)).values().stream().mapToLong(one -> one == null ? 0 : one.offset()).sum();
			want(sum == RECORDS, "committed are " + sum + " of " + RECORDS);
		}
	}

	/**
	 * One batch at a time: a broker that is still about to end the last transaction keeps the first batch of the next one waiting, and would complain of the second (a slow one
	 * does, on Linux as well), although nothing is lost.
	 */
	private void transactions() throws Exception {
		try (KafkaProducer<String, byte[]> producer = producer("transactional.id", "probe", "max.in.flight.requests.per.connection", 1)) {
			producer.initTransactions();
			for (int i = 0; i < 5; i++) {
				producer.beginTransaction();
				send(producer, "transactions", i * 100, i * 100 + 100);
				producer.commitTransaction();
				producer.beginTransaction();
				send(producer, "transactions", 10_000, 10_100);
				producer.abortTransaction();
			}
		}
		consume("transactions", 500, "isolation.level", "read_committed");
	}

	/** The index of times finds a record that was sent at a time or after it. */
	private void times() {
		try (KafkaConsumer<String, byte[]> consumer = consumer()) {
			List<TopicPartition> all = partitions(consumer, "plain");
			Map<TopicPartition, Long> wanted = new HashMap<>();
			consumer.assign(all);
			for (TopicPartition one : all) {
				consumer.seek(one, 700);
				long end = System.nanoTime() + PATIENCE.toNanos();
				while (!wanted.containsKey(one)) {
					want(System.nanoTime() < end, "no record of " + one);
					for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofMillis(500)).records(one))
						if (record.offset() == 700)
							wanted.put(one, record.timestamp());
				}
			}
			Map<TopicPartition, OffsetAndTimestamp> found = consumer.offsetsForTimes(wanted);
			for (TopicPartition one : all)
				want(found.get(one) != null && found.get(one).offset() <= 700 && found.get(one).timestamp() == wanted.get(one), one + " found " + found.get(one));
		}
	}

	/** Records below an offset go, and so does a topic. */
	private void deletions() throws Exception {
		try (Admin admin = admin()) {
			TopicPartition first = new TopicPartition("broker-squeezes", 0);
			admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(100))).all().get();
			long low = admin.listOffsets(Map.of(first, OffsetSpec.earliest())).all().get().get(first).offset();
			want(low == 100, "the first offset is " + low);
			admin.deleteTopics(List.of("broker-squeezes")).all().get();
			want(!admin.listTopics().names().get().contains("broker-squeezes"), "the topic is still there");
		}
	}

	private static void restart(int port) throws IOException {
		try (Socket socket = new Socket("127.0.0.1", port)) {
			socket.setSoTimeout(180_000);
			String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
			want(answer.contains("started in"), "the broker has not started again");
			System.out.print(answer);
		}
	}

	private void again(int port) throws Exception {
		step("start-again", () -> restart(port));
		step("all-there", () -> {
			consume("plain", RECORDS);
			consume("squeezed", RECORDS);
			consume("transactions", 500, "isolation.level", "read_committed");
			committed("classic");
			committed("consumer");
		});
		step("goes-on", () -> {
			produce("plain", RECORDS, RECORDS + MORE);
			consume("plain", RECORDS + MORE);
		});
	}

	private void all(int seconds, int restart) throws Exception {
		step("answers", () -> await(seconds));
		step("topics", this::topics);
		step("produce", () -> produce("plain", 0, RECORDS));
		step("consume", () -> consume("plain", RECORDS));
		step("squeezed", () -> {
			String[] kinds = { "gzip", "snappy", "lz4", "zstd" };
			for (int i = 0; i < kinds.length; i++)
				produce("squeezed", RECORDS * i / kinds.length, RECORDS * (i + 1) / kinds.length, "compression.type", kinds[i]);
			consume("squeezed", RECORDS);
		});
		step("broker-squeezes", () -> {
			produce("broker-squeezes", 0, MORE);
			consume("broker-squeezes", MORE);
		});
		step("group", () -> group("classic"));
		step("new-group", () -> group("consumer"));
		step("transactions", this::transactions);
		step("times", this::times);
		if (restart != 0)
			again(restart);
		step("deletions", this::deletions);
	}

	public static void main(String[] arguments) {
		int status = 0;
		try {
			new KafkaProbe(arguments[0]).all(Integer.parseInt(arguments[1]), arguments.length > 2 ? Integer.parseInt(arguments[2]) : 0);
		} catch (Exception e) {
			System.out.println("not ok kafka " + e.getMessage() + ": " + e.getCause());
			e.printStackTrace();
			status = 1;
		}
		System.exit(status);
	}
}
