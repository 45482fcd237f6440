// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text.Json;

namespace VirtTier.Demo;

/// <summary>
/// Holds every reading of a guest's DRAM against its budget: once the budget has been met, no later reading may be above it.
/// A new budget begins a new account.
/// </summary>
internal sealed class BudgetWatch
{
    private readonly Dictionary<int, Account> _accounts = [];

    /// <summary>Begins (again) for a process, with a budget in pages.</summary>
    public void Begin(int pid, int budgetPages) => _accounts[pid] = _accounts.TryGetValue(pid, out Account? old)
        ? old with { Budget = budgetPages, Met = false }
        : new Account { Budget = budgetPages };

    /// <summary>Takes one line of <c>residency --watch</c>.</summary>
    public void Take(string line)
    {
        using JsonDocument json = JsonDocument.Parse(line);
        int pid = json.RootElement.GetProperty("pid").GetInt32();
        if (!_accounts.TryGetValue(pid, out Account? account))
            return;
        int dram = json.RootElement.GetProperty("nodes").TryGetProperty("0", out JsonElement pages) ? pages.GetInt32() : 0;
        bool met = account.Met || dram <= account.Budget;
        _accounts[pid] = account with
        {
            Met = met,
            Readings = account.Readings + (met ? 1 : 0),
            Over = account.Over + (met && dram > account.Budget ? 1 : 0),
            WorstOver = met ? Math.Max(account.WorstOver, dram - account.Budget) : account.WorstOver,
        };
    }

    /// <summary>Whether no reading since the budget was met was above it; and that in words.</summary>
    public (bool Held, string Detail) Verdict(int pid)
    {
        if (!_accounts.TryGetValue(pid, out Account? account) || account.Readings == 0)
            return (false, "the budget was never met");
        return (account.Over == 0, string.Create(CultureInfo.InvariantCulture,
            $"{account.Over} of {account.Readings} readings above the "
                + $"budget{(account.Over > 0 ? $", by up to {account.WorstOver} pages" : "")}"));
    }

    private sealed record Account
    {
        public int Budget { get; init; }
        public bool Met { get; init; }
        public int Readings { get; init; }
        public int Over { get; init; }
        public int WorstOver { get; init; }
    }
}
