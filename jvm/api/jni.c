/*
 * jvm/api/jni.c - the kernel's functions for JDKs before 22, which have no Foreign Function API.
 *
 * Theory:    The functions are symbols of the object that the kernel maps into every program (kernel/vdso/exports.h). They are
 *            looked up once, when the library is loaded; after that a native method is one call through a pointer. There
 *            is no system call.
 * Interface: the native methods of ibrik/JniCalls.java, whose jar holds this library.
 * Locking:   none: the pointers are set before the first native method can run.
 * Errors:    System.load() throws UnsatisfiedLinkError when the kernel has not all of the functions. Numbers of errno are
 *            handed on as they are; a buffer without an address answers -EFAULT.
 */
#include "vdso/exports.h"
#include <dlfcn.h>
#include <errno.h>
#include <jni.h>

#define NATIVE(type, name) JNIEXPORT type JNICALL Java_ibrik_JniCalls_##name

static __typeof__(ibrik_nano_time) *nano_time;
static __typeof__(ibrik_cpu) *cpu;
static __typeof__(ibrik_figure) *figure;
static __typeof__(ibrik_figure_name) *figure_name;
static __typeof__(ibrik_release) *release;

JNIEXPORT jint JNICALL JNI_OnLoad(JavaVM *vm, void *reserved)
{
	void *object = dlopen(IBRIK_EXPORTS_OBJECT, RTLD_NOW | RTLD_LOCAL);

	(void)vm;
	(void)reserved;
	if (!object)
		return JNI_ERR;
	nano_time = dlsym(object, "ibrik_nano_time");
	cpu = dlsym(object, "ibrik_cpu");
	figure = dlsym(object, "ibrik_figure");
	figure_name = dlsym(object, "ibrik_figure_name");
	release = dlsym(object, "ibrik_release");
	return nano_time && cpu && figure && figure_name && release ? JNI_VERSION_1_8 : JNI_ERR;
}

NATIVE(jlong, nanoTime0)(JNIEnv *env, jclass type)
{
	(void)env;
	(void)type;
	return nano_time();
}

NATIVE(jint, cpu0)(JNIEnv *env, jclass type)
{
	(void)env;
	(void)type;
	return cpu();
}

NATIVE(jlong, figure0)(JNIEnv *env, jclass type, jint which)
{
	(void)env;
	(void)type;
	return figure(which);
}

NATIVE(jstring, figureName0)(JNIEnv *env, jclass type, jint which)
{
	const char *name = figure_name(which);

	(void)type;
	return name ? (*env)->NewStringUTF(env, name) : NULL;
}

NATIVE(jlong, release0)(JNIEnv *env, jclass type, jobject buffer, jint position, jint bytes)
{
	char *start = (*env)->GetDirectBufferAddress(env, buffer);

	(void)type;
	return start ? release((uint64_t)(uintptr_t)(start + position), (uint64_t)bytes) : -EFAULT;
}
