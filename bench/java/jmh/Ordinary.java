package bench;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Group;
import org.openjdk.jmh.annotations.GroupThreads;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Threads;

/** What JMH users measure: code that hardly calls the kernel, and code whose threads meet. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class Ordinary {
	private final ConcurrentHashMap<Integer, Integer> map = new ConcurrentHashMap<>();
	private final AtomicLong atomic = new AtomicLong();
	private final ArrayBlockingQueue<Integer> queue = new ArrayBlockingQueue<>(64);
	private final List<Integer> numbers = new ArrayList<>();
	private long plain;

	@Setup
	public void fill() {
		Random random = new Random(1);
		for (int i = 0; i < 10_000; i++) {
			map.put(i, i);
			numbers.add(random.nextInt());
		}
	}

	@Benchmark
	public int mapGet() {
		return map.get(4711);
	}

	@Benchmark
	public List<Integer> sort10k() {
		List<Integer> copy = new ArrayList<>(numbers);
		Collections.sort(copy);
		return copy;
	}

	@Benchmark
	public String format() {
		return String.format("%d of %s", 42, "many");
	}

	@Benchmark
	public byte[] allocate1k() {
		return new byte[1024];
	}

	@Benchmark
	@Threads(4)
	public synchronized long synchronizedBy4() {
		return plain++;
	}

	@Benchmark
	@Threads(4)
	public long atomicBy4() {
		return atomic.incrementAndGet();
	}

	@Benchmark
	@Group("blockingQueue")
	@GroupThreads(1)
	public boolean put() throws InterruptedException {
		return queue.offer(1, 100, TimeUnit.MILLISECONDS);
	}

	@Benchmark
	@Group("blockingQueue")
	@GroupThreads(1)
	public int take() throws InterruptedException {
		Integer one = queue.poll(100, TimeUnit.MILLISECONDS);
		return one == null ? 0 : one;
	}
}
