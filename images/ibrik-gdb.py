# images/ibrik-gdb.py - symbols of the application for gdb, attached to the kernel (ibrik run --debug).
#
# Theory: the kernel's debug file gives gdb the process list, a process's mm holds the auxiliary vector of
# its program, and from AT_PHDR on everything follows as any debugger finds it: the dynamic section, DT_DEBUG,
# and the loader's list of link maps. Each file is looked up below the folder with the guest's files.
#
# A system call that was replaced by a jump passes through a stub (docs/syscalls.md), for which nobody has written unwind
# information: it is recognised by its bytes, and its caller is the site.
#
# Commands: ibrik-root FOLDER   where the guest's files lie on this machine
#           ibrik-symbols       loads the symbols of every object that is mapped now (again after dlopen)
# Errors:   one line each; memory that is not mapped yet is said so
import os
import struct

import gdb
import gdb.unwinder

AT_PHDR, AT_PHNUM = 3, 5
PT_DYNAMIC, PT_PHDR = 2, 6
DT_DEBUG = 21


class State:
    root = ""
    loaded = set()


def read(address, size):
    return gdb.selected_inferior().read_memory(address, size).tobytes()


def words(address, count):
    return struct.unpack("<%dQ" % count, read(address, 8 * count))


def text(address):
    result = b""
    while len(result) < 4096:
        byte = read(address + len(result), 1)
        if byte == b"\0":
            break
        result += byte
    return result.decode("utf-8", "replace")


def processes():
    """Every struct process, from the kernel's list."""
    kind = gdb.lookup_type("struct process")
    offset = next(field.bitpos // 8 for field in kind.fields() if field.name == "all_link")
    head = gdb.parse_and_eval("&process_list")
    link = head["next"]
    while link and int(link) != int(head):
        yield (int(link) - offset, gdb.Value(int(link) - offset).cast(kind.pointer()).dereference())
        link = link["next"]


def auxiliary(mm):
    auxv = mm["auxv"]
    return {int(auxv[i]): int(auxv[i + 1]) for i in range(0, int(mm["auxv_words"]) - 1, 2)}


def dynamic_section(vector):
    """(load offset, address of the dynamic section) of a program."""
    base = dynamic = None
    for i in range(vector[AT_PHNUM]):
        at = vector[AT_PHDR] + 56 * i
        kind = struct.unpack("<I", read(at, 4))[0]
        address = words(at + 16, 1)[0]
        if kind == PT_PHDR:
            base = vector[AT_PHDR] - address
        if kind == PT_DYNAMIC:
            dynamic = address
    return base or 0, dynamic


def objects(mm):
    """(path, load offset) of the program and of what its loader has mapped."""
    vector = auxiliary(mm)
    if AT_PHDR not in vector:
        return
    base, dynamic = dynamic_section(vector)
    yield mm["exe_path"].string(), base
    at = base + dynamic if dynamic else 0
    while at:
        tag, value = words(at, 2)
        if tag == 0:
            return
        if tag == DT_DEBUG and value:
            link = words(value + 8, 1)[0]
            while link:
                offset, name, _, link = words(link, 4)
                path = text(name)
                if path:
                    yield path, offset
            return
        at += 16


def load(path, offset):
    place = os.path.join(State.root, path.lstrip("/"))
    if (path, offset) in State.loaded:
        return
    if not os.path.exists(place):
        print("ibrik: %s at %#x: no such file below %s" % (path, offset, State.root or "(set ibrik-root)"))
        return
    gdb.execute("add-symbol-file %s -o %#x" % (place, offset), to_string=True)
    State.loaded.add((path, offset))
    print("ibrik: %s at %#x" % (path, offset))


class Root(gdb.Command):
    """ibrik-root FOLDER: where the files of the guest lie on this machine."""

    def __init__(self):
        super().__init__("ibrik-root", gdb.COMMAND_FILES, gdb.COMPLETE_FILENAME)

    def invoke(self, argument, from_tty):
        State.root = argument.strip()


class Symbols(gdb.Command):
    """ibrik-symbols: load the symbols of the application and its libraries."""

    def __init__(self):
        super().__init__("ibrik-symbols", gdb.COMMAND_FILES)

    def invoke(self, argument, from_tty):
        for address, process in processes():
            if not process["mm"]:
                continue
            try:
                for path, offset in objects(process["mm"].dereference()):
                    load(path, offset)
            except gdb.MemoryError:
                print("ibrik: process %d is not mapped yet; go on and try again" % int(process["pid"]))


STUB_BYTES = 64
SYSCALL_BYTES = 2
LEA_RCX, JUMP_GATE = b"\x48\x8d\x0d", b"\x65\xff\x24\x25"
COUNT_CALL, JUMP = b"\x65\x48\xff\x04\x25", 0xE9
MOVED_BYTES = 5
LEAF_BYTES = 40


def stub_site(at):
    """The site that the stub at `at` belongs to, or None: see put_stub() in kernel/arch/x86_64/gate.c."""
    code = read(at, STUB_BYTES)
    for lea in (0, MOVED_BYTES):
        if code[lea : lea + 3] == LEA_RCX and code[lea + 7 : lea + 11] == JUMP_GATE:
            return at + lea + 7 + struct.unpack("<i", code[lea + 3 : lea + 7])[0] - SYSCALL_BYTES
    count = code.find(COUNT_CALL, 0, LEAF_BYTES)
    if count >= 0 and code[count + 9] == JUMP:
        return at + count + 14 + struct.unpack("<i", code[count + 10 : count + 14])[0] - SYSCALL_BYTES
    return None


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class StubUnwinder(gdb.unwinder.Unwinder):
    def __init__(self):
        super().__init__("ibrik-stub")

    def __call__(self, pending):
        pc = int(pending.read_register("rip")) & (1 << 64) - 1
        if pc >> 47 or gdb.current_progspace().solib_name(pc) or gdb.find_pc_line(pc).symtab:
            return None
        try:
            site = stub_site(pc // STUB_BYTES * STUB_BYTES)
            code = read(pc, MOVED_BYTES)
            if site is None and code[0] == JUMP:
                site = stub_site(pc + MOVED_BYTES + struct.unpack("<i", code[1:])[0])
        except gdb.MemoryError:
            return None
        if site is None:
            return None
        info = pending.create_unwind_info(FrameId(pending.read_register("rsp"), pending.read_register("rip")))
        for name in ("rbx", "rbp", "rsp", "r12", "r13", "r14", "r15"):
            info.add_saved_register(name, pending.read_register(name))
        # Behind the call instruction, as a return address is.
        info.add_saved_register("rip", gdb.Value(site + SYSCALL_BYTES).cast(gdb.lookup_type("unsigned long")))
        return info


Root()
Symbols()
gdb.unwinder.register_unwinder(None, StubUnwinder(), replace=True)
