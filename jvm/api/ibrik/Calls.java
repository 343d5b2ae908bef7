package ibrik;

import java.nio.ByteBuffer;

/** The functions of {@code kernel/vdso/exports.h}, however they are reached. */
abstract class Calls {
	abstract long nanoTime();

	abstract int cpu();

	/** A negative number of errno if there is none. */
	abstract long figure(int which);

	/** Only for a figure that exists. */
	abstract String figureName(int which);

	/** Of a direct buffer, from position to limit: bytes, or a negative number of errno. */
	abstract long release(ByteBuffer buffer);
}
