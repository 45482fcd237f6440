// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.TestSupport;

/// <summary>
/// A guest that answers a virtio-mem device of QEMU's (virtio 1.2, 5.15): it plugs blocks in, one after the other, until it has
/// what is asked for, and gives them back from the end. It never touches that memory, which real-mode code cannot reach.
/// </summary>
internal static class VirtioMemGuest
{
    /// <summary>A floppy image that the firmware boots.</summary>
    internal static byte[] Image { get; } = BootSector.Floppy(
    [
        // The device 1af4:1058 by the PCI BIOS, as soon as it is plugged in, and leave to reach memory.
        0xb8, 0x02, 0xb1,                   //          mov ax, 0xb102
        0xb9, 0x58, 0x10,                   //          mov cx, 0x1058
        0xba, 0xf4, 0x1a,                   //          mov dx, 0x1af4
        0x31, 0xf6,                         //          xor si, si
        0xcd, 0x1a,                         //          int 0x1a
        0x73, 0x04,                         //          jae found
        0xfb,                               //          sti
        0xf4,                               //          hlt
        0xeb, 0xed,                         //          jmp start
        0xb8, 0x0c, 0xb1,                   // found:   mov ax, 0xb10c
        0xbf, 0x04, 0x00,                   //          mov di, 0x4
        0xb9, 0x06, 0x00,                   //          mov cx, 0x6
        0xcd, 0x1a,                         //          int 0x1a
        // Its capability to reach the registers through configuration space (5), in bp; always BAR 4, four bytes.
        0xb8, 0x08, 0xb1,                   //          mov ax, 0xb108
        0xbf, 0x34, 0x00,                   //          mov di, 0x34
        0xcd, 0x1a,                         //          int 0x1a
        0x0f, 0xb6, 0xf9,                   // next:    movzx di, cl
        0xb8, 0x0a, 0xb1,                   //          mov ax, 0xb10a
        0xcd, 0x1a,                         //          int 0x1a
        0x66, 0x89, 0xc8,                   //          mov eax, ecx
        0x66, 0xc1, 0xe8, 0x18,             //          shr eax, 0x18
        0x88, 0xe9,                         //          mov cl, ch
        0x3c, 0x05,                         //          cmp al, 0x5
        0x75, 0xeb,                         //          jne next
        0x89, 0xfd,                         //          mov bp, di
        0x8d, 0x7e, 0x04,                   //          lea di, [bp+0x4]
        0x66, 0xb9, 0x04, 0x00, 0x00, 0x00, //          mov ecx, 0x4
        0xb8, 0x0d, 0xb1,                   //          mov ax, 0xb10d
        0xcd, 0x1a,                         //          int 0x1a
        0x8d, 0x7e, 0x0c,                   //          lea di, [bp+0xc]
        0xb8, 0x0d, 0xb1,                   //          mov ax, 0xb10d
        0xcd, 0x1a,                         //          int 0x1a
        // A queue at 0x10000; registers as the table says.
        0xb8, 0x00, 0x10,                   //          mov ax, 0x1000
        0x8e, 0xc0,                         //          mov es, ax
        0x66, 0x31, 0xc0,                   //          xor eax, eax
        0x31, 0xff,                         //          xor di, di
        0xb9, 0x00, 0x14,                   //          mov cx, 0x1400
        0xfc,                               //          cld
        0x66, 0xf3, 0xab,                   //          rep stos DWORD PTR es:[di], eax
        0x8e, 0xd8,                         //          mov ds, ax
        0xbe, 0x2e, 0x7d,                   //          mov si, 0x7d2e (table)
        0xad,                               // entry:   lods ax, WORD PTR ds:[si]
        0x89, 0xc2,                         //          mov dx, ax
        0x66, 0xad,                         //          lods eax, DWORD PTR ds:[si]
        0x66, 0x89, 0xc1,                   //          mov ecx, eax
        0xe8, 0x9d, 0x00,                   //          call wr
        0x81, 0xfe, 0x70, 0x7d,             //          cmp si, 0x7d70 (its end)
        0x75, 0xef,                         //          jne entry
        0xb8, 0x00, 0x10,                   //          mov ax, 0x1000
        0x8e, 0xd8,                         //          mov ds, ax
        // Two descriptors: a request of 24 bytes at 0x14000, an answer at 0x14020.
        0x66, 0xb8, 0x00, 0x40, 0x01, 0x00, //          mov eax, 0x14000
        0x66, 0xa3, 0x00, 0x00,             //          mov ds:0x0, eax
        0xb0, 0x20,                         //          mov al, 0x20
        0x66, 0xa3, 0x10, 0x00,             //          mov ds:0x10, eax
        0xb0, 0x18,                         //          mov al, 0x18
        0xa2, 0x08, 0x00,                   //          mov ds:0x8, al
        0xb0, 0x01,                         //          mov al, 0x1
        0xa2, 0x0c, 0x00,                   //          mov ds:0xc, al
        0xa2, 0x0e, 0x00,                   //          mov ds:0xe, al
        0xa2, 0x10, 0x40,                   //          mov ds:0x4010, al
        0x40,                               //          inc ax
        0xa2, 0x1c, 0x00,                   //          mov ds:0x1c, al
        0xb0, 0x10,                         //          mov al, 0x10
        0xa2, 0x18, 0x00,                   //          mov ds:0x18, al
        // The region, what it has of it, what is wanted.
        0xba, 0x10, 0x20,                   // again:   mov dx, 0x2010
        0xe8, 0x5a, 0x00,                   //          call rd
        0x66, 0x89, 0x0e, 0x08, 0x40,       //          mov DWORD PTR ds:0x4008, ecx
        0xba, 0x14, 0x20,                   //          mov dx, 0x2014
        0xe8, 0x4f, 0x00,                   //          call rd
        0x66, 0x89, 0x0e, 0x0c, 0x40,       //          mov DWORD PTR ds:0x400c, ecx
        0xba, 0x28, 0x20,                   //          mov dx, 0x2028
        0xe8, 0x44, 0x00,                   //          call rd
        0x66, 0x89, 0xce,                   //          mov esi, ecx
        0xba, 0x30, 0x20,                   //          mov dx, 0x2030
        0xe8, 0x3b, 0x00,                   //          call rd
        0x31, 0xc0,                         //          xor ax, ax
        0x66, 0x39, 0xce,                   //          cmp esi, ecx
        0x74, 0x30,                         //          je wait
        0x72, 0x0c,                         //          jb send
        0xba, 0x00, 0x20,                   //          mov dx, 0x2000
        0xe8, 0x2c, 0x00,                   //          call rd
        0x66, 0x29, 0xce,                   //          sub esi, ecx
        0xb8, 0x01, 0x00,                   //          mov ax, 0x1
        // The next block in, or the last one out.
        0xa3, 0x00, 0x40,                   // send:    mov ds:0x4000, ax
        0x66, 0x01, 0x36, 0x08, 0x40,       //          add DWORD PTR ds:0x4008, esi
        0x83, 0x16, 0x0c, 0x40, 0x00,       //          adc WORD PTR ds:0x400c, 0x0
        0xff, 0x06, 0x02, 0x08,             //          inc WORD PTR ds:0x802
        0xba, 0x00, 0x30,                   //          mov dx, 0x3000
        0xe8, 0x18, 0x00,                   //          call wr
        0xa1, 0x02, 0x08,                   // used:    mov ax, ds:0x802
        0x3b, 0x06, 0x02, 0x10,             //          cmp ax, WORD PTR ds:0x1002
        0x75, 0xf7,                         //          jne used
        0xeb, 0xa4,                         //          jmp again
        0xfb,                               // wait:    sti
        0xf4,                               //          hlt
        0xeb, 0xa0,                         //          jmp again
        // Register dx of BAR 4 to ecx, or from it.
        0xe8, 0x13, 0x00,                   // rd:      call select
        0xb8, 0x0a, 0xb1,                   //          mov ax, 0xb10a
        0xcd, 0x1a,                         //          int 0x1a
        0xc3,                               //          ret
        0x66, 0x51,                         // wr:      push ecx
        0xe8, 0x08, 0x00,                   //          call select
        0x66, 0x59,                         //          pop ecx
        0xb8, 0x0d, 0xb1,                   //          mov ax, 0xb10d
        0xcd, 0x1a,                         //          int 0x1a
        0xc3,                               //          ret
        0x66, 0x0f, 0xb7, 0xca,             // select:  movzx ecx, dx
        0x8d, 0x7e, 0x08,                   //          lea di, [bp+0x8]
        0xb8, 0x0d, 0xb1,                   //          mov ax, 0xb10d
        0xcd, 0x1a,                         //          int 0x1a
        0x8d, 0x7e, 0x10,                   //          lea di, [bp+0x10]
        0xc3,                               //          ret
        // Registers of the common configuration (virtio 1.0, 4.1.4.3) and what is written there.
        0x14, 0x00, 0x03, 0x00, 0x00, 0x00, // table:   20: 0x3, status: acknowledged, there is a driver
        0x08, 0x00, 0x00, 0x00, 0x00, 0x00, //          8: 0x0, features 0 to 31
        0x0c, 0x00, 0x02, 0x00, 0x00, 0x00, //          12: 0x2, of them UNPLUGGED_INACCESSIBLE
        0x08, 0x00, 0x01, 0x00, 0x00, 0x00, //          8: 0x1, features 32 to 63
        0x0c, 0x00, 0x01, 0x00, 0x00, 0x00, //          12: 0x1, of them VERSION_1
        0x14, 0x00, 0x0b, 0x00, 0x00, 0x00, //          20: 0xb, status: features are settled
        0x20, 0x00, 0x00, 0x00, 0x01, 0x00, //          32: 0x10000, queue 0: descriptors
        0x28, 0x00, 0x00, 0x08, 0x01, 0x00, //          40: 0x10800, what is offered
        0x30, 0x00, 0x00, 0x10, 0x01, 0x00, //          48: 0x11000, what was used
        0x1c, 0x00, 0x01, 0x00, 0x00, 0x00, //          28: 0x1, it is in use
        0x14, 0x00, 0x0f, 0x00, 0x00, 0x00, //          20: 0xf, status: the driver is at work
    ]);
}
