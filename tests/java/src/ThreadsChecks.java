import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RecursiveTask;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/** Threads, monitors, queues, sleeping, clocks across CPUs. */
final class ThreadsChecks {
	private ThreadsChecks() {
	}

	private static void join(List<Thread> threads) throws InterruptedException {
		for (Thread t : threads)
			t.join();
	}

	private static List<Thread> start(int n, Runnable run) {
		List<Thread> threads = new ArrayList<>();
		for (int i = 0; i < n; i++) {
			Thread t = new Thread(run);
			t.start();
			threads.add(t);
		}
		return threads;
	}

	static void aThousandPlatformThreadsAreAliveAtOnce() throws Exception {
		CountDownLatch up = new CountDownLatch(1000), go = new CountDownLatch(1);
		AtomicInteger done = new AtomicInteger();
		List<Thread> threads = start(1000, () -> {
			up.countDown();
			try {
				go.await();
			} catch (InterruptedException e) {
				return;
			}
			done.incrementAndGet();
		});
		up.await();
		Checks.check(ManagementFactory.getThreadMXBean().getThreadCount() >= 1000, "fewer threads than started");
		go.countDown();
		join(threads);
		Checks.equal(done.get(), 1000);
	}

	static void aHundredThousandVirtualThreadsSleepAndFinish() throws Exception {
		if (Checks.release() < 21)
			throw new Checks.Skip("no virtual threads before 21");
		AtomicInteger done = new AtomicInteger();
		ExecutorService executor = (ExecutorService) Executors.class
				.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
		for (int i = 0; i < 100000; i++)
			executor.submit(() -> {
				Thread.sleep(10);
				done.incrementAndGet();
				return null;
			});
		executor.shutdown();
		Checks.check(executor.awaitTermination(Checks.LIMIT_SECONDS, TimeUnit.SECONDS), "they do not end");
		Checks.equal(done.get(), 100000);
	}

	static void virtualThreadsHandOverThroughQueues() throws Exception {
		if (Checks.release() < 21)
			throw new Checks.Skip("no virtual threads before 21");
		ExecutorService executor = (ExecutorService) Executors.class
				.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
		SynchronousQueue<Integer> queue = new SynchronousQueue<>();
		AtomicLong sum = new AtomicLong();
		for (int i = 0; i < 500; i++) {
			int n = i;
			executor.submit(() -> {
				queue.put(n);
				return null;
			});
			executor.submit(() -> sum.addAndGet(queue.take()));
		}
		executor.shutdown();
		Checks.check(executor.awaitTermination(Checks.LIMIT_SECONDS, TimeUnit.SECONDS), "they do not end");
		Checks.equal(sum.get(), 499L * 500 / 2);
	}

	private static long counter;

	static void aContendedMonitorLosesNoUpdate() throws Exception {
		Object lock = new Object();
		counter = 0;
		join(start(8, () -> {
			for (int i = 0; i < 20000; i++)
				synchronized (lock) {
					counter++;
				}
		}));
		Checks.equal(counter, 160000L);
	}

	static void waitAndNotifyPassATokenWithoutLoss() throws Exception {
		Object lock = new Object();
		int[] turn = { 0 };
		List<Thread> threads = new ArrayList<>();
		for (int me = 0; me < 4; me++) {
			int mine = me;
			Thread t = new Thread(() -> {
				for (int i = 0; i < 1000; i++)
					synchronized (lock) {
						while (turn[0] % 4 != mine)
							try {
								lock.wait();
							} catch (InterruptedException e) {
								return;
							}
						turn[0]++;
						lock.notifyAll();
					}
			});
			t.start();
			threads.add(t);
		}
		join(threads);
		Checks.equal(turn[0], 4000);
	}

	static void monitorsWithTimeoutsEnd() throws Exception {
		Object lock = new Object();
		synchronized (lock) {
			long start = System.nanoTime();
			lock.wait(50);
			long ms = (System.nanoTime() - start) / 1000000;
			Checks.check(ms >= 49 && ms < 5000, "wait(50) took " + ms + " ms");
		}
	}

	private static void pump(java.util.concurrent.BlockingQueue<Integer> queue, int n) throws Exception {
		AtomicLong sum = new AtomicLong();
		List<Thread> takers = start(4, () -> {
			try {
				for (;;) {
					int v = queue.take();
					if (v < 0)
						return;
					sum.addAndGet(v);
				}
			} catch (InterruptedException e) {
				throw new IllegalStateException(e);
			}
		});
		AtomicInteger next = new AtomicInteger();
		join(start(4, () -> {
			try {
				for (int v; (v = next.getAndIncrement()) < n;)
					queue.put(v);
			} catch (InterruptedException e) {
				throw new IllegalStateException(e);
			}
		}));
		for (int i = 0; i < 4; i++)
			queue.put(-1);
		join(takers);
		Checks.equal(sum.get(), (long) n * (n - 1) / 2);
	}

	static void arrayBlockingQueueLosesNothing() throws Exception {
		pump(new ArrayBlockingQueue<>(16), 20000);
	}

	static void linkedBlockingQueueLosesNothing() throws Exception {
		pump(new LinkedBlockingQueue<>(), 20000);
	}

	static void synchronousQueueLosesNothing() throws Exception {
		pump(new SynchronousQueue<>(), 3000);
	}

	static void reentrantLocksAndConditionsWork() throws Exception {
		ReentrantLock lock = new ReentrantLock(true);
		counter = 0;
		join(start(6, () -> {
			for (int i = 0; i < 500; i++) {
				lock.lock();
				try {
					counter++;
				} finally {
					lock.unlock();
				}
			}
		}));
		Checks.equal(counter, 3000L);
		lock.lock();
		try {
			Checks.check(!lock.newCondition().await(20, TimeUnit.MILLISECONDS), "a wait that nobody ends ended");
		} finally {
			lock.unlock();
		}
		ReentrantReadWriteLock rw = new ReentrantReadWriteLock();
		rw.readLock().lock();
		Checks.check(!rw.writeLock().tryLock(), "write while reading");
		rw.readLock().unlock();
	}

	static void barriersAndFuturesMeet() throws Exception {
		CyclicBarrier barrier = new CyclicBarrier(5);
		AtomicInteger rounds = new AtomicInteger();
		join(start(5, () -> {
			try {
				for (int i = 0; i < 200; i++)
					if (barrier.await() == 0)
						rounds.incrementAndGet();
			} catch (Exception e) {
				throw new IllegalStateException(e);
			}
		}));
		Checks.equal(rounds.get(), 200);
		CompletableFuture<Integer> f = CompletableFuture.completedFuture(0);
		for (int i = 0; i < 1000; i++)
			f = f.thenApplyAsync(v -> v + 1);
		Checks.equal(f.get(Checks.LIMIT_SECONDS, TimeUnit.SECONDS), 1000);
	}

	private static final class Fib extends RecursiveTask<Integer> {
		private static final long serialVersionUID = 1;
		private final int n;

		Fib(int n) {
			this.n = n;
		}

		@Override
		protected Integer compute() {
			if (n < 2)
				return n;
			Fib a = new Fib(n - 1);
			a.fork();
			return new Fib(n - 2).compute() + a.join();
		}
	}

	static void forkJoinComputes() {
		Checks.equal(new ForkJoinPool(4).invoke(new Fib(18)), 2584);
	}

	static void concurrentMapsCount() throws Exception {
		ConcurrentHashMap<Integer, Integer> map = new ConcurrentHashMap<>();
		join(start(4, () -> {
			for (int i = 0; i < 10000; i++)
				map.merge(i % 100, 1, Integer::sum);
		}));
		Checks.equal(map.values().stream().mapToInt(Integer::intValue).sum(), 40000);
	}

	static void interruptsEndSleepWaitAndPark() throws Exception {
		AtomicInteger interrupted = new AtomicInteger();
		Object lock = new Object();
		List<Thread> threads = new ArrayList<>();
		threads.addAll(start(1, () -> {
			try {
				Thread.sleep(100000);
			} catch (InterruptedException e) {
				interrupted.incrementAndGet();
			}
		}));
		threads.addAll(start(1, () -> {
			synchronized (lock) {
				try {
					lock.wait();
				} catch (InterruptedException e) {
					interrupted.incrementAndGet();
				}
			}
		}));
		threads.addAll(start(1, () -> {
			while (!Thread.currentThread().isInterrupted())
				LockSupport.park();
			interrupted.incrementAndGet();
		}));
		Thread.sleep(50);
		threads.forEach(Thread::interrupt);
		join(threads);
		Checks.equal(interrupted.get(), 3);
	}

	static void nanoTimeNeverGoesBackAcrossCpus() throws Exception {
		AtomicLong latest = new AtomicLong(System.nanoTime()), backwards = new AtomicLong();
		long end = System.nanoTime() + 1500000000L;
		join(start(4, () -> {
			long now;
			do {
				long seen = latest.get();
				now = System.nanoTime();
				if (now < seen)
					backwards.incrementAndGet();
				latest.accumulateAndGet(now, Math::max);
			} while (now < end);
		}));
		Checks.equal(backwards.get(), 0L);
	}

	private static void accuracy(String what, long ns, long took) {
		Checks.check(took >= ns * 99 / 100, what + " of " + ns / 1000 + " us took only " + took / 1000 + " us");
		Checks.check(took < ns + 1000000000L, what + " of " + ns / 1000 + " us took " + took / 1000 + " us");
	}

	static void sleepIsAccurate() throws Exception {
		for (int ms : new int[] { 1, 2, 5, 10, 50, 100, 1000 }) {
			long start = System.nanoTime();
			Thread.sleep(ms);
			accuracy("sleep", ms * 1000000L, System.nanoTime() - start);
		}
		long best = Long.MAX_VALUE;
		for (int i = 0; i < 50; i++) {
			long start = System.nanoTime();
			Thread.sleep(1);
			best = Math.min(best, System.nanoTime() - start);
		}
		Checks.check(best < 4000000, "the best sleep(1) of 50 took " + best / 1000 + " us");
	}

	static void parkNanosIsAccurate() {
		for (int ms : new int[] { 1, 2, 5, 10, 50, 100, 1000 }) {
			long ns = ms * 1000000L, start = System.nanoTime();
			while (System.nanoTime() - start < ns)
				LockSupport.parkNanos(ns - (System.nanoTime() - start));
			accuracy("parkNanos", ns, System.nanoTime() - start);
		}
	}

	static void busyThreadsDoNotStarveASleeper() throws Exception {
		AtomicInteger stop = new AtomicInteger();
		List<Thread> spinners = new ArrayList<>();
		for (int i = 0; i < Runtime.getRuntime().availableProcessors() + 1; i++) {
			Thread t = new Thread(() -> {
				long n = 0;
				while (stop.get() == 0) {
					n++;
					Thread.onSpinWait();
				}
				counter = n;
			});
			t.start();
			spinners.add(t);
		}
		long start = System.nanoTime();
		for (int i = 0; i < 20; i++)
			Thread.sleep(1);
		long ms = (System.nanoTime() - start) / 1000000;
		stop.set(1);
		join(spinners);
		Checks.check(ms < 10000, "20 sleeps of 1 ms took " + ms + " ms");
	}

	static void threadDumpsShowEveryThread() {
		var infos = ManagementFactory.getThreadMXBean().dumpAllThreads(true, true);
		Checks.check(infos.length >= 4, "only " + infos.length + " threads");
		Checks.check(Thread.getAllStackTraces().size() >= 2, "no stack traces");
		Checks.check(ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() > 0, "no CPU time");
	}
}
