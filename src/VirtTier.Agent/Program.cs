// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using VirtTier.Agent.Commands;
using VirtTier.Agent.Status;

Console.SetError(new ShownLines(Console.Error));
try
{
    StatusTable.FitOutput();
    return await CommandTree.Create().Parse(args).InvokeAsync(
        new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (OperationCanceledException)
{
    return ExitCode.Attention;
}
#pragma warning disable CA1031 // nothing that goes wrong may look like a crash of the runtime
catch (Exception e)
#pragma warning restore CA1031
{
    FailedOutput.Tell(e);
    return ExitCode.Attention;
}
