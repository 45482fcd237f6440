// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.TestSupport;

/// <summary>Guests of a few bytes, as floppy images that the firmware boots: 16-bit code at 0x7c00.</summary>
internal static class BootSector
{
    private const int SectorSize = 512;
    private const int FloppySize = 1440 * 1024;

    /// <summary>
    /// Stands still for good. Where nothing can be booted the firmware wakes up 18 times a second, which many guests together do
    /// not get done under emulation.
    /// </summary>
    internal static byte[] Halts { get; } = Floppy(
    [
        0xfa,       // cli
        0xb0, 0x30, // mov al, 0x30: the timer counts down once
        0xe6, 0x43, // out 0x43, al
        0xf4,       // hlt
    ]);

    /// <summary>
    /// Writes 512 KiB of memory anew on each tick of the timer, 18 times a second: a live migration at 1 MiB/s never ends. A
    /// change of WP makes the emulator forget its translations; through those that it has,
    /// it does not see that a page is written again.
    /// </summary>
    internal static byte[] DirtiesMemory { get; } = Floppy(
    [
        0x31, 0xdb,       //        xor bx, bx
        0xb8, 0x00, 0x10, // pass:  mov ax, 0x1000
        0x8e, 0xc0,       // next:  mov es, ax
        0x50,             //        push ax
        0x89, 0xd8,       //        mov ax, bx
        0x31, 0xff,       //        xor di, di
        0xb9, 0x00, 0x80, //        mov cx, 0x8000
        0xf3, 0xab,       //        rep stosw
        0x58,             //        pop ax
        0x05, 0x00, 0x10, //        add ax, 0x1000
        0x3d, 0x00, 0x90, //        cmp ax, 0x9000
        0x75, 0xeb,       //        jne next
        0x43,             //        inc bx
        0x0f, 0x20, 0xc0, //        mov eax, cr0
        0x66, 0x35, 0x00, 0x00, 0x01, 0x00, // xor eax, 0x10000: WP, without a meaning here
        0x0f, 0x22, 0xc0, //        mov cr0, eax
        0xfb, 0xf4,       //        sti; hlt
        0xeb, 0xd7,       //        jmp pass
    ]);

    /// <summary>Where <see cref="DirtiesMemory"/> last writes in a pass, after the first of which it is not 0.</summary>
    internal const long DirtiedAddress = 0x8f000;

    /// <summary>Switches itself off as soon as it runs, as after a shutdown from within.</summary>
    internal static byte[] PowersOff { get; } = Floppy(
    [
        0xba, 0x04, 0x06, // mov dx, 0x604: PM1a_CNT of QEMU's pc machine
        0xb8, 0x00, 0x20, // mov ax, 0x2000: SLP_EN, sleep type 0 = soft off
        0xef,             // out dx, ax
        0xf4,             // hlt
    ]);

    /// <summary>Switches itself off when it is asked to by the power button, as an operating system does through ACPI.</summary>
    internal static byte[] PowersOffWhenAsked { get; } = Floppy(
    [
        0xba, 0x02, 0x06, //       mov dx, 0x602: PM1a_EN
        0xb8, 0x00, 0x01, //       mov ax, 0x100: PWRBTN_EN
        0xef,             //       out dx, ax
        0xfb, 0xf4,       // wait: sti; hlt
        0xba, 0x00, 0x06, //       mov dx, 0x600: PM1a_STS
        0xed,             //       in ax, dx
        0xf6, 0xc4, 0x01, //       test ah, 1: PWRBTN_STS
        0x74, 0xf5,       //       jz wait
        0xba, 0x04, 0x06, //       mov dx, 0x604: PM1a_CNT
        0xb8, 0x00, 0x20, //       mov ax, 0x2000: SLP_EN, soft off
        0xef,             //       out dx, ax
        0xf4,             //       hlt
    ]);

    /// <summary>Tells QEMU's pvpanic device (<c>&lt;panic model='isa'/&gt;</c>) of a panic as soon as it runs.</summary>
    internal static byte[] Panics { get; } = Floppy(
    [
        0xba, 0x05, 0x05, // mov dx, 0x505
        0xb0, 0x01,       // mov al, 1: panicked
        0xee,             // out dx, al
        0xf4,             // hlt
    ]);

    /// <summary>
    /// Gives the memory device in slot 0 back as soon as it is asked to, as an operating system does through ACPI: by the
    /// registers of QEMU's docs/specs/acpi_mem_hotplug.rst, which the pc machine has at 0xa00.
    /// </summary>
    internal static byte[] EjectsMemory { get; } = Floppy(
    [
        0xba, 0x00, 0x0a, // again: mov dx, 0xa00: which slot the others are about
        0x66, 0x31, 0xc0, //        xor eax, eax
        0x66, 0xef,       //        out dx, eax
        0xba, 0x14, 0x0a, //        mov dx, 0xa14: flags
        0xec,             //        in al, dx
        0xa8, 0x04,       //        test al, 4: to be removed
        0x74, 0x03,       //        jz wait
        0xb0, 0x08,       //        mov al, 8: eject
        0xee,             //        out dx, al
        0xfb, 0xf4,       // wait:  sti; hlt
        0xeb, 0xe9,       //        jmp again
    ]);

    /// <summary>A floppy with code of at most 510 bytes in its first sector.</summary>
    internal static byte[] Floppy(byte[] code)
    {
        byte[] image = new byte[FloppySize];
        code.CopyTo(image, 0);
        image[SectorSize - 2] = 0x55;
        image[SectorSize - 1] = 0xaa;
        return image;
    }
}
