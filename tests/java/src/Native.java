/** The methods of tests/java/jni/jnitests.c. */
final class Native {
	static {
		String path = System.getProperty("jni");
		if (path == null)
			throw new Checks.Skip("the property jni does not name the library");
		System.load(path);
	}

	private Native() {
	}

	static native int add(int a, int b);

	static native int call(Runnable runnable);

	static native int callAndClear(Runnable runnable);

	static native void throwNew(String text);

	static native long sum(int[] array);

	static native java.nio.ByteBuffer buffer(int size);

	/** A direct buffer whose memory is said to begin at the address. */
	static native java.nio.ByteBuffer bufferAt(long address, int size);

	static native void poke(long address);
}
