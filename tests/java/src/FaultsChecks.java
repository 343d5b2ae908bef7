import java.io.InputStream;
import java.lang.ref.WeakReference;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/** What the JVM does with faults and signals: null checks, stack overflow, safepoints, memory that runs out, JNI. */
final class FaultsChecks {
	private FaultsChecks() {
	}

	private static final class Node {
		int value;
		Node next;
	}

	/** Compiled, the null check is the fault of the load. */
	private static int sum(Node[] nodes) {
		int sum = 0;
		for (Node n : nodes)
			sum += n.value;
		return sum;
	}

	static void implicitNullChecksOfCompiledCodeThrow() {
		Node[] nodes = new Node[100];
		for (int i = 0; i < nodes.length; i++) {
			nodes[i] = new Node();
			nodes[i].value = i;
		}
		for (int i = 0; i < 20000; i++)
			Checks.equal(sum(nodes), 4950);
		nodes[99] = null;
		int caught = 0;
		for (int i = 0; i < 3000; i++)
			try {
				sum(nodes);
			} catch (NullPointerException e) {
				caught++;
			}
		Checks.equal(caught, 3000);
		nodes[99] = new Node();
		Checks.equal(sum(nodes), 4950 - 99);
	}

	private static int deref(Node n) {
		return n.next.value;
	}

	static void nullPointerExceptionsInManyThreadsStayApart() throws Exception {
		Node full = new Node(), empty = new Node();
		full.next = new Node();
		for (int i = 0; i < 20000; i++)
			deref(full);
		int[] caught = new int[4];
		Thread[] threads = new Thread[4];
		for (int t = 0; t < 4; t++) {
			int me = t;
			threads[t] = new Thread(() -> {
				for (int i = 0; i < 1000; i++)
					try {
						deref((i & 1) == 0 ? full : empty);
					} catch (NullPointerException e) {
						caught[me]++;
					}
			});
			threads[t].start();
		}
		for (Thread t : threads)
			t.join();
		for (int c : caught)
			Checks.equal(c, 500);
	}

	static void nullPointerMessagesAreHelpful() {
		Node n = new Node();
		try {
			n.next.value = 1;
			throw new AssertionError("no exception");
		} catch (NullPointerException e) {
			Checks.check(e.getMessage() != null && e.getMessage().contains("next"), "message: " + e.getMessage());
		}
	}

	private static int depth;

	private static int recurse(int n) {
		depth = n;
		return recurse(n + 1) + 1;
	}

	static void stackOverflowIsCaughtAgainAndAgain() throws Exception {
		Throwable[] thrown = { null };
		Thread thread = new Thread(null, () -> {
			try {
				for (int i = 0; i < 12; i++)
					try {
						recurse(0);
						throw new AssertionError("recursion came back");
					} catch (StackOverflowError e) {
						Checks.check(depth > 500, "only " + depth + " frames");
					}
			} catch (Throwable t) {
				thrown[0] = t;
			}
		}, "recursion", 512 * 1024);
		thread.start();
		thread.join();
		if (thrown[0] != null)
			throw new AssertionError(thrown[0]);
	}

	static void stackOverflowOnTheMainStackSizeIsCaught() {
		for (int i = 0; i < 3; i++)
			try {
				recurse(0);
				throw new AssertionError("recursion came back");
			} catch (StackOverflowError e) {
				Checks.check(depth > 1000, "only " + depth + " frames");
			}
	}

	static void divisionByZeroThrows() {
		int zero = 0, caught = 0;
		for (int i = 0; i < 30000; i++)
			try {
				if (i % 10 == 0)
					depth = i / zero;
				else
					depth = i / (zero + 1);
			} catch (ArithmeticException e) {
				caught++;
			}
		Checks.equal(caught, 3000);
		Checks.equal(Integer.MIN_VALUE / (zero - 1), Integer.MIN_VALUE);
		Checks.equal(Long.MIN_VALUE / (zero - 1L), Long.MIN_VALUE);
	}

	static void outOfHeapIsCaughtAndSurvived() {
		for (int round = 0; round < 3; round++) {
			List<byte[]> hoard = new ArrayList<>();
			boolean thrown = false;
			try {
				for (;;)
					hoard.add(new byte[4 << 20]);
			} catch (OutOfMemoryError e) {
				thrown = true;
				hoard = null;
			}
			Checks.check(thrown, "no error");
			Checks.equal(new byte[1 << 20].length, 1 << 20);
		}
		try {
			depth = new long[Integer.MAX_VALUE].length;
			throw new AssertionError("an array of 16 GiB was made");
		} catch (OutOfMemoryError e) {
			Checks.check(e.getMessage() != null, "no message");
		}
	}

	static void outOfDirectMemoryIsCaughtAndSurvived() {
		List<ByteBuffer> hoard = new ArrayList<>();
		try {
			for (;;)
				hoard.add(ByteBuffer.allocateDirect(8 << 20));
		} catch (OutOfMemoryError e) {
			Checks.check(hoard.size() > 0, "not even one buffer");
		}
		hoard.clear();
		System.gc();
		ByteBuffer b = ByteBuffer.allocateDirect(1 << 20);
		b.putInt(100, 7);
		Checks.equal(b.getInt(100), 7);
	}

	private static final class Loader extends ClassLoader {
		private final byte[] bytes;

		Loader(byte[] bytes) {
			super(null);
			this.bytes = bytes;
		}

		Class<?> define() {
			return defineClass("Ballast", bytes, 0, bytes.length);
		}
	}

	private static byte[] ballast() throws Exception {
		try (InputStream in = FaultsChecks.class.getResourceAsStream("Ballast.class")) {
			return in.readAllBytes();
		}
	}

	static void outOfMetaspaceIsCaughtAndSurvived() throws Exception {
		byte[] bytes = ballast();
		List<Class<?>> hoard = new ArrayList<>();
		boolean thrown = false;
		try {
			for (int i = 0; i < 200000; i++)
				hoard.add(new Loader(bytes).define());
		} catch (OutOfMemoryError e) {
			thrown = true;
			hoard = null;
		}
		if (!thrown)
			throw new Checks.Skip("metaspace has no limit here");
		for (int i = 0; i < 5; i++)
			System.gc();
		Object o = new Loader(bytes).define().getDeclaredConstructor().newInstance();
		Checks.check(o != null, "no class can be defined any more");
	}

	static void classesAreUnloaded() throws Exception {
		byte[] bytes = ballast();
		List<WeakReference<Class<?>>> refs = new ArrayList<>();
		for (int i = 0; i < 300; i++) {
			Class<?> c = new Loader(bytes).define();
			c.getDeclaredConstructor().newInstance();
			refs.add(new WeakReference<>(c));
		}
		for (int i = 0; i < 20; i++) {
			System.gc();
			long left = refs.stream().filter(r -> r.get() != null).count();
			if (left == 0)
				return;
			Thread.sleep(50);
		}
		throw new AssertionError("classes stay");
	}

	static void aThreadWithAnImpossibleStackIsAnOutOfMemoryError() throws Exception {
		for (int i = 0; i < 3; i++)
			try {
				Thread t = new Thread(null, () -> { }, "huge", 1L << 47);
				t.start();
				t.join();
				throw new AssertionError("a thread with a stack of 128 TiB started");
			} catch (OutOfMemoryError e) {
				Checks.check(e.getMessage().contains("thread"), "message: " + e.getMessage());
			}
		Thread t = new Thread(() -> depth = 4711);
		t.start();
		t.join();
		Checks.equal(depth, 4711);
	}

	static void threadsUntilTheMachineIsFullAreAnOutOfMemoryError() throws Exception {
		if (!Boolean.getBoolean("guest"))
			throw new Checks.Skip("takes the whole machine and a while");
		List<Thread> threads = new ArrayList<>();
		Object lock = new Object();
		boolean thrown = false;
		try {
			while (threads.size() < 100000) {
				Thread t = new Thread(null, () -> {
					synchronized (lock) {
						try {
							lock.wait();
						} catch (InterruptedException e) {
							depth++;
						}
					}
				}, "filler", 128 * 1024);
				t.start();
				threads.add(t);
			}
		} catch (OutOfMemoryError e) {
			thrown = true;
		}
		synchronized (lock) {
			lock.notifyAll();
		}
		for (Thread t : threads) {
			while (t.isAlive()) {
				synchronized (lock) {
					lock.notifyAll();
				}
				t.join(100);
			}
		}
		Checks.check(thrown, "100,000 threads started");
		Thread t = new Thread(() -> depth = 4712);
		t.start();
		t.join();
		Checks.equal(depth, 4712);
	}

	static void nativeMethodsAddAndSum() {
		Checks.equal(Native.add(40, 2), 42);
		int[] array = new int[100000];
		for (int i = 0; i < array.length; i++)
			array[i] = i;
		Checks.equal(Native.sum(array), 4999950000L);
		ByteBuffer b = Native.buffer(100);
		Checks.equal((int) b.get(99), 42);
	}

	static void exceptionsPassThroughNativeFrames() {
		for (int i = 0; i < 2000; i++) {
			try {
				Native.call(() -> {
					throw new IllegalArgumentException("through");
				});
				throw new AssertionError("no exception");
			} catch (IllegalArgumentException e) {
				Checks.equal(e.getMessage(), "through");
			}
			Checks.equal(Native.callAndClear(() -> {
				throw new IllegalArgumentException("cleared");
			}), 1);
			Checks.equal(Native.callAndClear(() -> { }), 0);
		}
		try {
			Native.throwNew("from C");
			throw new AssertionError("no exception");
		} catch (IllegalStateException e) {
			Checks.equal(e.getMessage(), "from C");
		}
	}

	static void aStackOverflowBelowANativeFrameIsCaught() {
		int caught = 0;
		for (int i = 0; i < 3; i++)
			try {
				Native.call(() -> recurse(0));
			} catch (StackOverflowError e) {
				caught++;
			}
		Checks.equal(caught, 3);
	}

	static void exceptionsPassThroughReflectionAndProxies() throws Exception {
		var method = FaultsChecks.class.getDeclaredMethod("fail");
		for (int i = 0; i < 200; i++)
			try {
				method.invoke(null);
				throw new AssertionError("no exception");
			} catch (InvocationTargetException e) {
				Checks.equal(e.getCause().getMessage(), "meant");
			}
		Runnable proxy = (Runnable) Proxy.newProxyInstance(FaultsChecks.class.getClassLoader(),
				new Class<?>[] { Runnable.class }, (p, m, a) -> {
					throw new IllegalStateException("proxy");
				});
		try {
			proxy.run();
			throw new AssertionError("no exception");
		} catch (IllegalStateException e) {
			Checks.equal(e.getMessage(), "proxy");
		}
	}

	private static int fail() {
		throw new IllegalStateException("meant");
	}

	static void countedLoopsReachASafepoint() throws Exception {
		Thread loop = new Thread(() -> {
			long sum = 0;
			for (int i = 0; i < 50_000_000; i++)
				sum += i * (long) i;
			depth = (int) sum;
		});
		loop.start();
		for (int i = 0; i < 5; i++)
			System.gc();
		loop.join();
	}

	static void arraysAreCheckedInCompiledLoops() {
		int[] a = new int[50];
		int caught = 0;
		for (int i = 0; i < 20000; i++)
			try {
				a[i % 51] = i;
			} catch (ArrayIndexOutOfBoundsException e) {
				caught++;
			}
		Checks.equal(caught, 20000 / 51);
	}

	static void codeIsCompiledAndThrownAwayAgain() throws Exception {
		/* Classes that are compiled and unloaded: code is written, patched and freed while others run. */
		byte[] bytes = ballast();
		for (int i = 0; i < 20; i++) {
			Runnable r = (Runnable) new Loader(bytes).define().getDeclaredConstructor().newInstance();
			for (int j = 0; j < 3000; j++)
				r.run();
		}
		System.gc();
	}
}
