// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.CommandLine.Invocation;
using VirtTier.Agent.Commands;
using VirtTier.Agent.Status;

Console.SetError(new ShownLines(Console.Error));
try
{
    StatusTable.FitOutput();
    ParseResult command = CommandTree.Create().Parse(args);
    int status = await command.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
    return command.Action is ParseErrorAction ? ExitCode.BadInput : status;
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
