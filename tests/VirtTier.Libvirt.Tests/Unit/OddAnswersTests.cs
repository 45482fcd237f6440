// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Libvirt.Tests.Unit;

/// <summary>Who reads and writes a domain's settings bears whatever libvirt-dbus answers.</summary>
public sealed class OddAnswersTests : IAsyncDisposable
{
    private const string Xml =
        "<domain id='1'><name>web1</name><uuid>7c3d2a66-0f0c-4b53-9d1a-0123456789ab</uuid><memory>1048576</memory></domain>";

    private static readonly BusBody[] s_odd =
    [
        BusBody.Empty, new("u", 3u), new("as", (object)Array.Empty<string>()), new("s", ""), new("s", "\0"), new("s", "<"),
        new("s", "<domain/>"), new("b", true), new("d", double.NaN), new("a{sv}", new Dictionary<string, object>()),
        new("(ss)", (object)new object[] { "a", "b" }), new("s", new string('x', 1 << 20)),
    ];

    private readonly FakeBus _bus = new();

    public static TheoryData<string> Members =>
        ["DomainLookupByName", "DomainLookupByUUID", "Name", "UUID", "Active", "Persistent", "GetXMLDesc", "SetMetadata"];

    public ValueTask DisposeAsync() => _bus.DisposeAsync();

    [Theory]
    [MemberData(nameof(Members))]
    public async Task An_odd_answer_is_an_error_of_libvirts(string member)
    {
        foreach (BusBody odd in s_odd)
        {
            _bus.Services["org.libvirt"] = call => Asked(call) == "DomainLookupByName" && member == "DomainLookupByUUID"
                ? Task.FromException<BusBody>(new BusException("org.libvirt.Error", "Domain not found"))
                : Task.FromResult(Asked(call) == member ? odd : Right(call));
            await BearsAsync();
        }
    }

    [Theory]
    [MemberData(nameof(Members))]
    public async Task So_is_every_error_of_the_bus(string member)
    {
        foreach (string error in (string[])[BusException.NoReply, BusException.Timeout, BusException.Disconnected,
            BusException.ServiceUnknown, BusException.InvalidSignature, BusException.AccessDenied, "org.libvirt.Error", "x"])
        {
            _bus.Services["org.libvirt"] = call => Asked(call) == member
                ? Task.FromException<BusBody>(new BusException(error, new string('y', 1 << 20)))
                : Task.FromResult(Right(call));
            await BearsAsync();
        }
    }

    private async Task BearsAsync()
    {
        CancellationToken cancel = TestContext.Current.CancellationToken;
        DomainSettingsClient client = new(_bus);
        try
        {
            DomainHandle domain = await client.FindAsync("7c3d2a66-0f0c-4b53-9d1a-0123456789ab", cancel);
            DomainSettings settings = await client.ReadAsync(domain, DefinitionCopy.Live, cancel);
            await client.WriteAsync(domain, DefinitionCopy.Config, [.. settings.Attributes, new("dram", "25%")], cancel);
        }
        catch (LibvirtException e)
        {
            Assert.InRange(e.Message.Length, 1, 300);
            Assert.DoesNotContain(e.Message, char.IsControl);
        }
    }

    private static string Asked(BusCall call) => call.Member == "Get" ? (string)call.Body.Values[1] : call.Member;

    private static BusBody Right(BusCall call) => Asked(call) switch
    {
        "DomainLookupByName" or "DomainLookupByUUID" => new("o", "/org/libvirt/QEMU/_1"),
        "Name" => new("v", "web1"),
        "UUID" => new("v", "7c3d2a66-0f0c-4b53-9d1a-0123456789ab"),
        "Active" or "Persistent" => new("v", true),
        "GetXMLDesc" => new("s", Xml),
        _ => BusBody.Empty,
    };
}
