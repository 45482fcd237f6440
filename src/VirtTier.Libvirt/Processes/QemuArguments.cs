// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace VirtTier.Libvirt.Processes;

/// <summary>What VirtTier reads from QEMU's command line where nobody else tells of the guest.</summary>
/// <param name="Name">Its <c>-name</c>; null where it has none.</param>
/// <param name="Uuid">Its <c>-uuid</c>, or that of <c>-smbios type=1</c>; all zeros where it has none.</param>
/// <param name="MemoryBytes">Its <c>-m</c>, in bytes.</param>
/// <param name="Id">Its <c>-id</c>, which Proxmox VE's QEMU has; null where it has none.</param>
internal sealed record QemuArguments(string? Name, Guid Uuid, ulong MemoryBytes, string? Id)
{
    private const ulong DefaultMemory = 128UL << 20;
    private const ulong MostMemory = 1UL << 52;

    /// <summary>The longest name that counts, in characters.</summary>
    internal const int LongestName = 255;

    /// <summary>Reads it; null when it is none of QEMU's.</summary>
    internal static QemuArguments? Parse(IReadOnlyList<string> arguments)
    {
        string program = arguments.Count > 0 ? Path.GetFileName(arguments[0]) : "";
        if (program != "kvm" && !program.StartsWith("qemu", StringComparison.Ordinal))
            return null;
        string? name = null, id = null;
        Guid uuid = Guid.Empty, smbios = Guid.Empty;
        ulong memory = DefaultMemory;
        for (int i = 1; i + 1 < arguments.Count; i++)
        {
            string option = arguments[i], value = arguments[i + 1];
            switch (option.StartsWith("--", StringComparison.Ordinal) ? option[1..] : option)
            {
                case "-name":
                    name = Value(value, "guest");
                    break;
                case "-uuid":
                    _ = Guid.TryParse(value, out uuid);
                    break;
                case "-smbios" when Value(value, "type") == "1":
                    _ = Guid.TryParse(Value(value, "uuid"), out smbios);
                    break;
                case "-m":
                    memory = Memory(Value(value, "size")) ?? memory;
                    break;
                case "-id":
                    id = value;
                    break;
                default:
                    continue;
            }
            i++;
        }
        return new(name is { Length: > 0 and <= LongestName } ? name : null, uuid == Guid.Empty ? smbios : uuid, memory, id);
    }

    /// <summary>One of <c>key=value,key=value</c>; what comes first may lack its key.
    /// A comma in a value is written twice.</summary>
    private static string? Value(string options, string key)
    {
        string[] parts = options.Replace(",,", "\0", StringComparison.Ordinal).Split(',');
        string? found = Array.Find(parts, part => part.StartsWith(key + "=", StringComparison.Ordinal))?[(key.Length + 1)..]
            ?? (parts[0].Contains('=', StringComparison.Ordinal) ? null : parts[0]);
        return found?.Replace('\0', ',');
    }

    private static ulong? Memory(string? text)
    {
        if (string.IsNullOrEmpty(text))
            return null;
        int shift = char.ToUpperInvariant(text[^1]) switch { 'B' => 0, 'K' => 10, 'M' => 20, 'G' => 30, 'T' => 40, _ => -1 };
        return ulong.TryParse(shift < 0 ? text : text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out ulong number)
            && number > 0 && number <= MostMemory >> (shift < 0 ? 20 : shift)
                ? number << (shift < 0 ? 20 : shift)
                : null;
    }
}
