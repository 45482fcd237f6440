#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""flat-kernel.py VMLINUZ FLAT.S OUT: the same bzImage with its kernel uncompressed, FLAT.S in place of the decompressor.

Offsets are those of the Linux/x86 boot protocol (Documentation/arch/x86/boot.rst)."""
import lzma
import pathlib
import struct
import subprocess
import sys
import tempfile

LOAD = 0x1000000        # CONFIG_PHYSICAL_START
IMAGE_OFFSET = 0x9000   # behind flat.S and its page tables

vmlinuz, stub_source, out = sys.argv[1:]
image = pathlib.Path(vmlinuz).read_bytes()
setup_size = (image[0x1F1] + 1) * 512
payload_offset, payload_length = struct.unpack_from("<II", image, 0x248)
payload = image[setup_size + payload_offset:][:payload_length]
if payload[:6] == b"\xfd7zXZ\0":
    elf = lzma.LZMADecompressor().decompress(payload)
elif payload[:4] == b"\x28\xb5\x2f\xfd":
    # The kernel's build puts the length behind it, 4 bytes.
    elf = subprocess.run(["zstd", "-dcq"], input=payload[:-4], stdout=subprocess.PIPE, check=True).stdout
else:
    sys.exit(f"{vmlinuz}: its kernel begins with {payload[:6].hex()}, which is neither xz nor zstd")

# The loaded segments, as they lie in memory from LOAD on.
flat = bytearray()
entry, header_offset = struct.unpack_from("<QQ", elf, 24)       # the entry is physical: phys_startup_64
header_count, = struct.unpack_from("<H", elf, 56)
for i in range(header_count):
    kind, _, offset, _, physical, file_size, _, _ = struct.unpack_from("<IIQQQQQQ", elf, header_offset + 56 * i)
    if kind == 1:  # PT_LOAD
        at = physical - LOAD
        flat.extend(bytes(max(0, at + file_size - len(flat))))
        flat[at:at + file_size] = elf[offset:offset + file_size]
flat.extend(bytes(-len(flat) % 4096))

with tempfile.TemporaryDirectory() as work:
    subprocess.check_call(["gcc", "-m32", "-c", f"-DIMAGE_OFFSET={IMAGE_OFFSET}", f"-DIMAGE_DWORDS={len(flat) // 4}", f"-DENTRY={entry:#x}",
                           stub_source, "-o", f"{work}/stub.o"])
    subprocess.check_call(["objcopy", "-O", "binary", "-j", ".text", f"{work}/stub.o", f"{work}/stub"])
    stub = pathlib.Path(f"{work}/stub").read_bytes()
body = stub.ljust(IMAGE_OFFSET, b"\0") + flat

setup = bytearray(image[:setup_size])
struct.pack_into("<I", setup, 0x1F4, len(body) // 16)           # syssize
struct.pack_into("<H", setup, 0x236, 0)                         # xloadflags: no 64-bit entry
struct.pack_into("<Q", setup, 0x258, 0x100000)                  # pref_address
struct.pack_into("<I", setup, 0x260, LOAD + len(flat) * 2)      # init_size: room for source, target and bss
pathlib.Path(out).write_bytes(setup + body)
