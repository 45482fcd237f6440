// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Migration;
using VirtTier.Memory.Tests.Fakes;

namespace VirtTier.Memory.Tests.Numa;

public sealed class NodeRoomTests : IDisposable
{
    private readonly TempTree _tree = new();

    public NodeRoomTests()
    {
        Free(0, 1000);
        Free(1, 100);
        _tree.File(
            "proc/zoneinfo",
            """
            Node 0, zone      DMA
              per-node stats
                  nr_inactive_anon 5
              pages free     3840
                    min      4
                    low      5
                    high     10
                pagesets
                cpu: 0
                          count: 0
                          high:  999
            Node 0, zone   Normal
                    high     40
            Node 1, zone   Normal
                    high     30
            """);
    }

    public void Dispose() => _tree.Dispose();

    [Fact]
    public void Room_is_what_is_free_above_the_high_watermarks_of_all_zones()
    {
        var room = new NodeRoom(_tree.PathOf("sys"), _tree.PathOf("proc"), new ManualTime());
        Assert.Equal((1000 * 1024) - (50 * 4096), room.ReadBytes(0));
        Assert.Equal(0, room.ReadBytes(1));
        Free(1, 200);
        Assert.Equal((200 * 1024) - (30 * 4096), room.ReadBytes(1));
        Assert.Equal(long.MaxValue, room.ReadBytes(2));
    }

    [Fact]
    public void Changed_watermarks_are_seen_after_a_while()
    {
        var time = new ManualTime();
        var room = new NodeRoom(_tree.PathOf("sys"), _tree.PathOf("proc"), time);
        room.ReadBytes(0);
        _tree.File("proc/zoneinfo", "Node 0, zone Normal\n high 1\n");
        Assert.Equal((1000 * 1024) - (50 * 4096), room.ReadBytes(0));
        time.Advance(TimeSpan.FromSeconds(11));
        Assert.Equal((1000 * 1024) - 4096, room.ReadBytes(0));
    }

    [Fact]
    public void The_running_host_has_room() => Assert.InRange(new LinuxNumaCalls().FreeBytes(0), 1, 1L << 50);

    private void Free(int node, int kibibytes) =>
        _tree.File($"sys/devices/system/node/node{node}/meminfo", $"Node {node} MemFree:  {kibibytes} kB\n");
}
