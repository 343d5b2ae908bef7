package ibrik;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/** Calls through the JNI library that the jar holds ({@code jvm/api/jni.c}). */
final class JniCalls extends Calls {
	private static final String LIBRARY = "libibrik-jni.so";

	static {
		try {
			load();
		} catch (IOException e) {
			throw new IllegalStateException("the library " + LIBRARY + " cannot be unpacked", e);
		}
	}

	/* A library is loaded from a file. It is needed only until it is mapped. */
	private static void load() throws IOException {
		Path file = Files.createTempFile("ibrik", ".so");
		try (InputStream library = JniCalls.class.getResourceAsStream(LIBRARY)) {
			if (library == null)
				throw new IOException("the jar does not hold it");
			Files.copy(library, file, StandardCopyOption.REPLACE_EXISTING);
			System.load(file.toString());
		} finally {
			Files.delete(file);
		}
	}

	@Override
	long nanoTime() {
		return nanoTime0();
	}

	@Override
	int cpu() {
		return cpu0();
	}

	@Override
	long figure(int which) {
		return figure0(which);
	}

	@Override
	String figureName(int which) {
		return figureName0(which);
	}

	@Override
	long release(ByteBuffer buffer) {
		return release0(buffer, buffer.position(), buffer.remaining());
	}

	private static native long nanoTime0();

	private static native int cpu0();

	private static native long figure0(int which);

	private static native String figureName0(int which);

	private static native long release0(ByteBuffer buffer, int position, int bytes);
}
