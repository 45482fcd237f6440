// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;

namespace VirtTier.Agent.Commands;

/// <summary>All that <c>virttier</c> can be told on its command line.</summary>
internal static class CommandTree
{
    public static RootCommand Create()
    {
        RootCommand root = new(
            "VirtTier keeps the hot pages of each virtual machine in DRAM within its budget, and the rest on the slow tier.")
        {
            AgentCommand.Create(),
            DoctorCommand.Create(),
            HookCommand.Create(),
            StatusCommand.Create(),
            TopCommand.Create(),
            EstimateCommand.Create(),
            ShowCommand.Create(),
            CurveCommand.Create(),
            HeatmapCommand.Create(),
            ReportCommand.Create(),
            GetCommand.Create(),
            ExplainCommand.Create(),
            SetCommand.Create(),
            ModeCommand.CreateEnable(),
            ModeCommand.CreateObserve(),
            MetricsCommand.Create(),
            ReloadCommand.Create(),
            SampleCommand.Create(),
            RecordCommand.Create(),
            ReplayCommand.Create(),
            SimulateCommand.Create(),
        };
        root.Add(ManualCommand.Create(root));
        OverviewCommand.MakeDefaultOf(root);
        return root;
    }
}
