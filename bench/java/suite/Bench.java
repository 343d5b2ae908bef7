import ibrik.Kernel;
import java.io.IOException;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.LongStream;

/**
 * What a kernel does to Java: the same jar runs in both guests.
 *
 * <p>Prints a line {@code NAME NANOSECONDS} for each operation, the best of some rounds after a warm-up, and lines
 * {@code NAME=VALUE} for figures of another kind; then {@code done}. An operation that throws prints {@code NAME failed 1}
 * and the rest goes on. Operations that need two CPUs are left out on one.
 */
public class Bench {
	private static final int ROUNDS = 5;
	private static final long ROUND_NS = 120_000_000L;
	private static final long WARM_NS = 1_000_000_000L;
	/* What the JVM compiles matters more there than the kernel does, and under TCG its compilers need seconds. */
	private static final long COMPUTE_WARM_NS = 5_000_000_000L;

	interface Operation {
		void run(long count) throws Exception;
	}

	static volatile long sink;
	static volatile Object kept;

	static void measure(String name, int divisor, Operation operation) {
		measure(name, divisor, WARM_NS, operation);
	}

	static void measure(String name, int divisor, long warmNanos, Operation operation) {
		try {
			long count = 1;
			long warmUntil = System.nanoTime() + warmNanos;
			for (;;) {
				long before = System.nanoTime();
				operation.run(count);
				long took = System.nanoTime() - before;
				if (took < ROUND_NS)
					count *= took < ROUND_NS / 8 ? 8 : 2;
				else if (System.nanoTime() > warmUntil)
					break;
			}
			long best = Long.MAX_VALUE;
			for (int round = 0; round < ROUNDS; round++) {
				long before = System.nanoTime();
				operation.run(count);
				best = Math.min(best, System.nanoTime() - before);
			}
			System.out.printf("%s %.1f%n", name, (double) best / count / divisor);
		} catch (Exception | Error e) {
			System.out.println(name + " failed 1");
			System.err.println(name + ": " + e);
		}
	}

	static void figure(String name, double value) {
		System.out.printf("%s=%.3f%n", name, value);
	}

	/** Two threads, ours and one more, each does its side count times. */
	static void pair(long count, Operation ours, Operation theirs) throws Exception {
		Thread partner = new Thread(() -> {
			try {
				theirs.run(count);
			} catch (Exception e) {
				throw new IllegalStateException(e);
			}
		});
		partner.start();
		ours.run(count);
		partner.join();
	}

	static void together(int threads, long count, Operation each) throws Exception {
		Thread[] all = new Thread[threads];
		for (int i = 0; i < threads; i++) {
			all[i] = new Thread(() -> {
				try {
					each.run(count);
				} catch (Exception e) {
					throw new IllegalStateException(e);
				}
			});
			all[i].start();
		}
		for (Thread t : all)
			t.join();
	}

	// --- handing over

	static volatile Thread parkedHere, parkedThere;
	static volatile int turn;

	static void parkPing(long count) throws Exception {
		parkedHere = Thread.currentThread();
		turn = 0;
		Thread partner = new Thread(() -> {
			for (long i = 0; i < count; i++) {
				while (turn != 1)
					LockSupport.park();
				turn = 0;
				LockSupport.unpark(parkedHere);
			}
		});
		parkedThere = partner;
		partner.start();
		for (long i = 0; i < count; i++) {
			turn = 1;
			LockSupport.unpark(parkedThere);
			while (turn != 0)
				LockSupport.park();
		}
		partner.join();
	}

	static final Object monitor = new Object();
	static int monitorTurn;

	static void monitorSide(long count, int mine) throws InterruptedException {
		synchronized (monitor) {
			for (long i = 0; i < count; i++) {
				while (monitorTurn != mine)
					monitor.wait();
				monitorTurn = 1 - mine;
				monitor.notify();
			}
		}
	}

	static long counter;
	static final ReentrantLock lock = new ReentrantLock();

	static void handOver() {
		measure("park-unpark-switch", 2, Bench::parkPing);
		measure("monitor-wait-notify", 2, n -> {
			monitorTurn = 0;
			pair(n, c -> monitorSide(c, 0), c -> monitorSide(c, 1));
		});
		SynchronousQueue<Integer> queue = new SynchronousQueue<>();
		measure("synchronous-queue", 1, n -> pair(n, c -> {
			for (long i = 0; i < c; i++)
				queue.put(1);
		}, c -> {
			for (long i = 0; i < c; i++)
				sink += queue.take();
		}));
		measure("contended-monitor-4-threads", 4, n -> together(4, n, c -> {
			for (long i = 0; i < c; i++)
				synchronized (monitor) {
					counter++;
				}
		}));
		measure("contended-reentrant-lock-4-threads", 4, n -> together(4, n, c -> {
			for (long i = 0; i < c; i++) {
				lock.lock();
				try {
					counter++;
				} finally {
					lock.unlock();
				}
			}
		}));
		measure("thread-create-join", 1, n -> {
			for (long i = 0; i < n; i++) {
				Thread t = new Thread(() -> sink++);
				t.start();
				t.join();
			}
		});
		measure("thread-yield-two", 2, n -> together(2, n, c -> {
			for (long i = 0; i < c; i++)
				Thread.yield();
		}));
	}

	// --- clocks and calls

	static void calls() {
		measure("nanoTime", 1, n -> {
			for (long i = 0; i < n; i++)
				sink += System.nanoTime();
		});
		measure("currentTimeMillis", 1, n -> {
			for (long i = 0; i < n; i++)
				sink += System.currentTimeMillis();
		});
		double[] late = new double[400];
		for (int i = 0; i < late.length; i++) {
			long before = System.nanoTime();
			LockSupport.parkNanos(1_000_000);
			late[i] = (System.nanoTime() - before - 1_000_000) / 1000.0;
		}
		Arrays.sort(late);
		figure("parkNanos-1ms-late-p50-us", late[late.length / 2]);
		figure("parkNanos-1ms-late-p99-us", late[late.length * 99 / 100]);
	}

	/** Calls that only ibrik has; the other guest prints no such lines. */
	static void kernelCalls() {
		if (!Kernel.isPresent())
			return;
		measure("kernel-nanoTime", 1, n -> {
			for (long i = 0; i < n; i++)
				sink += Kernel.nanoTime();
		});
		measure("kernel-cpu", 1, n -> {
			for (long i = 0; i < n; i++)
				sink += Kernel.cpu();
		});
		measure("kernel-memory", 1, n -> {
			for (long i = 0; i < n; i++)
				sink += Kernel.memory().free();
		});
		ByteBuffer nothing = ByteBuffer.allocateDirect(16);
		measure("kernel-release-nothing", 1, n -> {
			for (long i = 0; i < n; i++)
				sink += Kernel.release(nothing);
		});
		/* A page that is touched, given back, and touched again. */
		ByteBuffer page = ByteBuffer.allocateDirect(2 * 4096);
		measure("kernel-release-page", 1, n -> {
			for (long i = 0; i < n; i++) {
				page.put(4096, (byte) 1);
				sink += Kernel.release(page);
			}
		});
	}

	static void files() throws IOException {
		Path path = Files.createTempFile("bench", ".dat");
		Files.write(path, new byte[1 << 20]);
		try (FileChannel channel = FileChannel.open(path)) {
			ByteBuffer buffer = ByteBuffer.allocateDirect(4096);
			measure("file-channel-read-4K", 1, n -> {
				for (long i = 0; i < n; i++) {
					buffer.clear();
					sink += channel.read(buffer, (i & 255) * 4096);
				}
			});
		}
		measure("files-exists", 1, n -> {
			for (long i = 0; i < n; i++)
				sink += Files.exists(path) ? 1 : 0;
		});
		measure("files-readAllBytes-1M", 1, n -> {
			for (long i = 0; i < n; i++)
				sink += Files.readAllBytes(path).length;
		});
		Files.delete(path);
	}

	// --- memory

	static long collectionMillis() {
		long sum = 0;
		for (GarbageCollectorMXBean bean : ManagementFactory.getGarbageCollectorMXBeans())
			sum += bean.getCollectionTime();
		return sum;
	}

	static void memory() {
		/* The field `kept` lies in an object of the heap. Whether that is old decides what G1's barrier costs below, and would depend on how often was collected so far. */
		System.gc();
		measure("allocate-1M-of-64-byte-objects", 1, n -> {
			for (long i = 0; i < n; i++)
				for (int k = 0; k < 16384; k++)
					kept = new byte[48];
		});
		measure("allocate-1M-array", 1, n -> {
			for (long i = 0; i < n; i++)
				kept = new byte[1 << 20];
		});
		List<byte[]> live = new ArrayList<>();
		for (int i = 0; i < 64 * 1024; i++)
			live.add(new byte[1000]);
		measure("full-collection-64M-live", 1, n -> {
			for (long i = 0; i < n; i++)
				System.gc();
		});
		long before = collectionMillis();
		Object[] ring = new Object[100_000];
		Random random = new Random(1);
		for (int i = 0; i < 6_000_000; i++)
			ring[random.nextInt(ring.length)] = new byte[64];
		sink += live.size();
		kept = ring;
		figure("young-collections-total-ms", collectionMillis() - before);
	}

	// --- compute

	static long mix(long x) {
		x ^= x >>> 33;
		x *= 0xff51afd7ed558ccdL;
		x ^= x >>> 29;
		return x;
	}

	static void compute() throws Exception {
		/* Code that nobody has run yet: interpreted, then compiled in the background. */
		long begin = System.nanoTime();
		long x = 1;
		StringBuilder text = new StringBuilder();
		for (int i = 0; i < 60_000; i++) {
			x = mix(x + i);
			text.append(Long.toHexString(x));
			if (text.length() > 4096) {
				sink += text.toString().hashCode();
				text.setLength(0);
			}
		}
		figure("warm-up-ms", (System.nanoTime() - begin) / 1e6);
		measure("parallel-stream-1M", 1, COMPUTE_WARM_NS, n -> {
			for (long i = 0; i < n; i++)
				sink += LongStream.range(0, 1_000_000).parallel().map(Bench::mix).sum();
		});
		long[] numbers = new Random(1).longs(200_000).toArray();
		measure("parallel-sort-200K", 1, COMPUTE_WARM_NS, n -> {
			for (long i = 0; i < n; i++) {
				long[] copy = numbers.clone();
				Arrays.parallelSort(copy);
				sink += copy[1];
			}
		});
		/* Its code is compiled after that many, however long they take. */
		forkJoin(1000);
		measure("fork-join-tasks", 1000, COMPUTE_WARM_NS, Bench::forkJoin);
	}

	static void forkJoin(long thousands) throws Exception {
		for (long i = 0; i < thousands; i++) {
			CountDownLatch latch = new CountDownLatch(1000);
			for (int k = 0; k < 1000; k++)
				java.util.concurrent.ForkJoinPool.commonPool().execute(latch::countDown);
			latch.await();
		}
	}

	public static void main(String[] args) throws Exception {
		compute();
		calls();
		kernelCalls();
		handOver();
		files();
		memory();
		System.out.println("done");
	}
}
