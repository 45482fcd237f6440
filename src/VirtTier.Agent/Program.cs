// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Commands;
using VirtTier.Agent.Status;

StatusTable.FitOutput();
return await CommandTree.Create().Parse(args).InvokeAsync();
