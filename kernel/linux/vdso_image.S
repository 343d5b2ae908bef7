/* kernel/linux/vdso_image.S - the vDSO's ELF file (kernel/vdso/, built before the kernel) inside the kernel. */
	.section .rodata.vdso, "a"
	.balign 16
	.global vdso_image, vdso_image_end
vdso_image:
	.incbin VDSO_FILE
vdso_image_end:
