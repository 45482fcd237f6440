// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using VirtTier.Agent.Commands;
using VirtTier.Agent.Status;

StatusTable.FitOutput();
RootCommand root = new(
    "VirtTier keeps the hot pages of each virtual machine in DRAM within its budget, and the rest on the slow tier.")
{
    AgentCommand.Create(),
    DoctorCommand.Create(),
    HookCommand.Create(),
    StatusCommand.Create(),
    TopCommand.Create(),
    CurveCommand.Create(),
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
OverviewCommand.MakeDefaultOf(root);
return await root.Parse(args).InvokeAsync();
