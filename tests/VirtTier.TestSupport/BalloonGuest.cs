// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.TestSupport;

/// <summary>
/// A guest that answers the virtio balloon, as a driver of the legacy interface does (virtio 1.0, 4.1.4.8 and 5.5): it gives
/// pages away, from 4 MiB on, or takes them back, one by one, until it has as many as it is asked to have.
/// </summary>
internal static class BalloonGuest
{
    /// <summary>A floppy image that the firmware boots.</summary>
    internal static byte[] Image { get; } = BootSector.Floppy(
    [
        // The device 1af4:1002 by the PCI BIOS, its registers in bp, and leave to reach memory.
        0xb8, 0x02, 0xb1,                   //          mov ax, 0xb102
        0xb9, 0x02, 0x10,                   //          mov cx, 0x1002
        0xba, 0xf4, 0x1a,                   //          mov dx, 0x1af4
        0x31, 0xf6,                         //          xor si, si
        0xcd, 0x1a,                         //          int 0x1a
        0xb8, 0x09, 0xb1,                   //          mov ax, 0xb109
        0xbf, 0x10, 0x00,                   //          mov di, 0x10
        0xcd, 0x1a,                         //          int 0x1a
        0x83, 0xe1, 0xfc,                   //          and cx, 0xfffc
        0x89, 0xcd,                         //          mov bp, cx
        0xb8, 0x0c, 0xb1,                   //          mov ax, 0xb10c
        0xbf, 0x04, 0x00,                   //          mov di, 0x4
        0xb9, 0x07, 0x00,                   //          mov cx, 0x7
        0xcd, 0x1a,                         //          int 0x1a
        // Two queues at 0x10000 and 0x12000, and the number of the page that is handed over at 0x14000.
        0xb8, 0x00, 0x10,                   //          mov ax, 0x1000
        0x8e, 0xd8,                         //          mov ds, ax
        0x8e, 0xc0,                         //          mov es, ax
        0x66, 0x31, 0xc0,                   //          xor eax, eax
        0x31, 0xff,                         //          xor di, di
        0xb9, 0x00, 0x14,                   //          mov cx, 0x1400
        0xfc,                               //          cld
        0x66, 0xf3, 0xab,                   //          rep stos DWORD PTR es:[di], eax
        // Status, where the queues are, status: the driver is at work.
        0x8d, 0x56, 0x12,                   //          lea dx, [bp+0x12]
        0xb0, 0x03,                         //          mov al, 0x3
        0xee,                               //          out dx, al
        0x31, 0xc0,                         //          xor ax, ax
        0x8d, 0x56, 0x0e,                   //          lea dx, [bp+0xe]
        0xef,                               //          out dx, ax
        0x66, 0xb8, 0x10, 0x00, 0x00, 0x00, //          mov eax, 0x10
        0x8d, 0x56, 0x08,                   //          lea dx, [bp+0x8]
        0x66, 0xef,                         //          out dx, eax
        0xb8, 0x01, 0x00,                   //          mov ax, 0x1
        0x8d, 0x56, 0x0e,                   //          lea dx, [bp+0xe]
        0xef,                               //          out dx, ax
        0x66, 0xb8, 0x12, 0x00, 0x00, 0x00, //          mov eax, 0x12
        0x8d, 0x56, 0x08,                   //          lea dx, [bp+0x8]
        0x66, 0xef,                         //          out dx, eax
        0xb0, 0x07,                         //          mov al, 0x7
        0x8d, 0x56, 0x12,                   //          lea dx, [bp+0x12]
        0xee,                               //          out dx, al
        // The one descriptor of each.
        0x66, 0xb8, 0x00, 0x40, 0x01, 0x00, //          mov eax, 0x14000
        0x66, 0xa3, 0x00, 0x00,             //          mov ds:0x0, eax
        0x66, 0xa3, 0x00, 0x20,             //          mov ds:0x2000, eax
        0xb0, 0x04,                         //          mov al, 0x4
        0xa2, 0x08, 0x00,                   //          mov ds:0x8, al
        0xa2, 0x08, 0x20,                   //          mov ds:0x2008, al
        // How many pages are wanted, and how many it has.
        0x8d, 0x56, 0x14,                   // again:   lea dx, [bp+0x14]
        0x66, 0xed,                         //          in eax, dx
        0x66, 0x89, 0xc1,                   //          mov ecx, eax
        0x8d, 0x56, 0x18,                   //          lea dx, [bp+0x18]
        0x66, 0xed,                         //          in eax, dx
        0x66, 0x89, 0xc7,                   //          mov edi, eax
        0x66, 0x39, 0xc8,                   //          cmp eax, ecx
        0x74, 0x42,                         //          je wait
        0x77, 0x0a,                         //          ja deflate
        // One more to the balloon, or the last one back: from 4 MiB on.
        0x31, 0xf6,                         //          xor si, si
        0x66, 0xbb, 0x01, 0x00, 0x00, 0x00, //          mov ebx, 0x1
        0xeb, 0x09,                         //          jmp kick
        0xbe, 0x00, 0x20,                   // deflate: mov si, 0x2000
        0x66, 0x83, 0xcb, 0xff,             //          or ebx, 0xffffffff
        0x66, 0x48,                         //          dec eax
        0x66, 0x05, 0x00, 0x04, 0x00, 0x00, // kick:    add eax, 0x400
        0x66, 0xa3, 0x00, 0x40,             //          mov ds:0x4000, eax
        0xff, 0x84, 0x02, 0x08,             //          inc WORD PTR [si+0x802]
        0x89, 0xf0,                         //          mov ax, si
        0xc1, 0xe8, 0x0d,                   //          shr ax, 0xd
        0x8d, 0x56, 0x10,                   //          lea dx, [bp+0x10]
        0xef,                               //          out dx, ax
        // Done, and told.
        0x8b, 0x84, 0x02, 0x08,             // used:    mov ax, WORD PTR [si+0x802]
        0x3b, 0x84, 0x02, 0x10,             //          cmp ax, WORD PTR [si+0x1002]
        0x75, 0xf6,                         //          jne used
        0x67, 0x66, 0x8d, 0x04, 0x1f,       //          lea eax, [edi+ebx*1]
        0x8d, 0x56, 0x18,                   //          lea dx, [bp+0x18]
        0x66, 0xef,                         //          out dx, eax
        0xeb, 0xa9,                         //          jmp again
        0xfb,                               // wait:    sti
        0xf4,                               //          hlt
        0xeb, 0xa5,                         //          jmp again
    ]);
}
