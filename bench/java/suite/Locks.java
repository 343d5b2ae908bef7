import java.util.Arrays;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A lock of four threads, on fewer CPUs than threads: which course it takes differs from boot to boot, so a boot is one figure here and there have to be many.
 *
 * <p>Prints a line {@code NAME NANOSECONDS} for each kind of lock: the median of its rounds, each of which takes most of a second, and beside it the best and
 * the worst; then {@code done}.
 */
public class Locks {
	private static final int THREADS = 4;
	private static final int ROUNDS = 9;
	private static final long ROUND_NS = 600_000_000L;
	private static final long WARM_NS = 3_000_000_000L;

	interface Turns {
		void take(long count);
	}

	private static final Object monitor = new Object();
	private static final ReentrantLock lock = new ReentrantLock();
	private static long counter;

	private static void byMonitor(long count) {
		for (long i = 0; i < count; i++)
			synchronized (monitor) {
				counter++;
			}
	}

	private static void byLock(long count) {
		for (long i = 0; i < count; i++) {
			lock.lock();
			try {
				counter++;
			} finally {
				lock.unlock();
			}
		}
	}

	/** Nanoseconds that all threads together take for count turns each. */
	private static long round(long count, Turns turns) throws InterruptedException {
		Thread[] all = new Thread[THREADS];
		long begin = System.nanoTime();
		for (int i = 0; i < THREADS; i++) {
			all[i] = new Thread(() -> turns.take(count));
			all[i].start();
		}
		for (Thread t : all)
			t.join();
		return System.nanoTime() - begin;
	}

	private static void measure(String name, Turns turns) throws InterruptedException {
		long count = 1000, took = round(count, turns);
		for (long warmUntil = System.nanoTime() + WARM_NS; took < ROUND_NS || System.nanoTime() < warmUntil; took = round(count, turns))
			if (took < ROUND_NS)
				count *= 2;
		double[] ns = new double[ROUNDS];
		for (int i = 0; i < ROUNDS; i++)
			ns[i] = (double) round(count, turns) / count / THREADS;
		Arrays.sort(ns);
		System.out.printf("%s %.1f%n", name, ns[ROUNDS / 2]);
		System.out.printf("%s-best %.1f%n", name, ns[0]);
		System.out.printf("%s-worst %.1f%n", name, ns[ROUNDS - 1]);
	}

	public static void main(String[] args) throws InterruptedException {
		measure("monitor-4-threads", Locks::byMonitor);
		measure("reentrant-lock-4-threads", Locks::byLock);
		System.out.println("done");
	}
}
