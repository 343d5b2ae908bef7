/*
 * tests/java/jni/jnitests.c - the native side of FaultsChecks, KernelChecks and Crash.
 */
#include <jni.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

JNIEXPORT jint JNICALL Java_Native_add(JNIEnv *env, jclass type, jint a, jint b)
{
	(void)env;
	(void)type;
	return a + b;
}

/* Calls a Runnable; whatever it throws goes on to the caller. */
JNIEXPORT jint JNICALL Java_Native_call(JNIEnv *env, jclass type, jobject runnable)
{
	jmethodID run = (*env)->GetMethodID(env, (*env)->GetObjectClass(env, runnable), "run", "()V");

	(void)type;
	(*env)->CallVoidMethod(env, runnable, run);
	return (*env)->ExceptionCheck(env) ? 1 : 0;
}

/* Calls a Runnable and swallows what it throws; 1 if it threw. */
JNIEXPORT jint JNICALL Java_Native_callAndClear(JNIEnv *env, jclass type, jobject runnable)
{
	jint threw = Java_Native_call(env, type, runnable);

	(*env)->ExceptionClear(env);
	return threw;
}

JNIEXPORT void JNICALL Java_Native_throwNew(JNIEnv *env, jclass type, jstring text)
{
	const char *chars = (*env)->GetStringUTFChars(env, text, NULL);
	jclass exception = (*env)->FindClass(env, "java/lang/IllegalStateException");

	(void)type;
	(*env)->ThrowNew(env, exception, chars);
	(*env)->ReleaseStringUTFChars(env, text, chars);
}

JNIEXPORT jlong JNICALL Java_Native_sum(JNIEnv *env, jclass type, jintArray array)
{
	jsize n = (*env)->GetArrayLength(env, array);
	jint *data = (*env)->GetPrimitiveArrayCritical(env, array, NULL);
	jlong sum = 0;

	(void)type;
	for (jsize i = 0; i < n; i++)
		sum += data[i];
	(*env)->ReleasePrimitiveArrayCritical(env, array, data, JNI_ABORT);
	return sum;
}

JNIEXPORT jobject JNICALL Java_Native_buffer(JNIEnv *env, jclass type, jint size)
{
	char *memory = malloc(size);

	(void)type;
	memset(memory, 42, size);
	return (*env)->NewDirectByteBuffer(env, memory, size);
}

JNIEXPORT jobject JNICALL Java_Native_bufferAt(JNIEnv *env, jclass type, jlong address, jint size)
{
	(void)type;
	return (*env)->NewDirectByteBuffer(env, (void *)(uintptr_t)address, size);
}

/* Writes to the address: the JVM reports the crash and ends. */
JNIEXPORT void JNICALL Java_Native_poke(JNIEnv *env, jclass type, jlong address)
{
	(void)env;
	(void)type;
	*(volatile char *)(uintptr_t)address = 1;
}
