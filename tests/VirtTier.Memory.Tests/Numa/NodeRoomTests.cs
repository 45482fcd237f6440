// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Migration;
using VirtTier.Memory.Numa;
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
        var room = new NodeRoom(_tree.PathOf("sys"), _tree.PathOf("proc"), new HurriedTime());
        Assert.Equal((1000 * 1024) - (50 * 4096), room.ReadBytes(0));
        Assert.Equal(0, room.ReadBytes(1));
        Free(1, 200);
        Assert.Equal((200 * 1024) - (30 * 4096), room.ReadBytes(1));
        Assert.Equal(long.MaxValue, room.ReadBytes(2));
    }

    [Fact]
    public void Changed_watermarks_are_seen_after_a_while()
    {
        var time = new HurriedTime();
        var room = new NodeRoom(_tree.PathOf("sys"), _tree.PathOf("proc"), time);
        room.ReadBytes(0);
        _tree.File("proc/zoneinfo", "Node 0, zone Normal\n high 1\n");
        Assert.Equal((1000 * 1024) - (50 * 4096), room.ReadBytes(0));
        time.Advance(TimeSpan.FromSeconds(11));
        Assert.Equal((1000 * 1024) - 4096, room.ReadBytes(0));
    }

    [Fact]
    public void Without_watermarks_all_that_is_free_is_room()
    {
        File.Delete(_tree.PathOf("proc/zoneinfo"));
        var room = new NodeRoom(_tree.PathOf("sys"), _tree.PathOf("proc"), new HurriedTime());
        Assert.Equal(1000 * 1024, room.ReadBytes(0));
        _tree.File("proc/zoneinfo",
            "Node x, zone Normal\n high 5\nNode 1, zone Normal\n high 99999999999999999999\n"
                + " high 9223372036854775807\n high 1\n");
        room = new NodeRoom(_tree.PathOf("sys"), _tree.PathOf("proc"), new HurriedTime());
        Assert.Equal(1000 * 1024, room.ReadBytes(0));
        Assert.Equal((100 * 1024) - 4096, room.ReadBytes(1));
    }

    /// <summary>Whatever the files say: no exception but the one that names the file, and no room below zero.</summary>
    [Fact]
    public void Damaged_files_give_room_that_can_be()
    {
        Random random = new(9);
        string meminfo = File.ReadAllText(_tree.PathOf("sys/devices/system/node/node0/meminfo"));
        string zoneinfo = File.ReadAllText(_tree.PathOf("proc/zoneinfo"));
        HashSet<long> rooms = [];
        for (int round = 0; round < 3000; round++)
        {
            _tree.File("sys/devices/system/node/node0/meminfo", Mutation.Of(random, meminfo)).File(
                "proc/zoneinfo", Mutation.Of(random, zoneinfo));
            long bytes = new NodeRoom(_tree.PathOf("sys"), _tree.PathOf("proc"), new HurriedTime()).ReadBytes(0);
            Assert.True(bytes >= 0);
            rooms.Add(bytes);
        }
        Assert.True(rooms.Count > 20, $"{rooms.Count} different answers: the damage shows too little");
    }

    [Fact]
    public void The_running_host_has_room() => Assert.InRange(new LinuxNumaCalls().FreeBytes(0), 1, 1L << 50);

    private void Free(int node, int kibibytes) =>
        _tree.File($"sys/devices/system/node/node{node}/meminfo", $"Node {node} MemFree:  {kibibytes} kB\n");
}
