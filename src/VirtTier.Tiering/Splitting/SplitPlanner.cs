// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Heat;
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Splitting;

/// <summary>
/// Decides which blocks are split into pages that are placed by themselves, and which are joined again. Fault samples are the way
/// in: they say how many pages carry a block. Once it is split, its accessed bits tell exactly, and whether the samples were
/// right: a few blocks are split first, and only where they prove right the others follow.
/// </summary>
/// <param name="history">The pages' past.</param>
/// <param name="sizes">One <see cref="MappingSize"/> for each block.</param>
/// <param name="samples">What fault samples told of these.</param>
/// <param name="model">What pages are worth.</param>
/// <remarks>Six bytes a block. A round looks at each block's size and, of those that are split, at the pages.</remarks>
internal sealed class SplitPlanner(PageHistory history, MappingSize[] sizes, BlockSamples samples, ValueModel model)
{
    // Samples of pages that were sampled before. A single one is a coincidence as often as not.
    private const int LeastRepeats = 2;

    // Where more of its pages are in use, most of the block is worth as much as its best pages.
    private const int MostUsed = PageSizes.BlockPages / 4;

    // From here on a block is in use as a whole. Between the two it stays as it is.
    private const int EvenlyUsed = PageSizes.BlockPages / 2;

    // Of a block in use, at least so many pages are on the tier that it is joined on: the others are moved by it.
    private const int Majority = PageSizes.BlockPages * 3 / 4;

    // Rounds after which accessed bits have shown what is in use; then rounds until a block may be joined, at least.
    private const int Verdict = 4;
    private const int LeastSplit = 8;

    // Rounds without an access after which a block is joined as a cold one: it is worth little, so it can wait.
    private const int ColdRounds = 32;

    // Rounds until a block that was joined may be split again: twice as many each time, so that none goes back and forth.
    private const int LeastWhole = 64;
    private const int MostTimes = 6;

    // A split has to pay for its moves within so many rounds.
    private const double Horizon = 32;

    // What was learned of how right samples are fades, so that a guest that has changed gets another trial.
    private const double Memory = 0.98;

    // Blocks that may be split before any has proved right; later, of those that have, as many again each round.
    private const int FirstTrials = 4;
    private const int TrialShare = 64;

    private readonly State[] _state = new State[sizes.Length];
    private readonly byte[] _times = new byte[sizes.Length];
    private readonly int[] _since = new int[sizes.Length];
    private readonly List<int> _split = [];
    private double[] _gains = [];
    private int[] _candidates = [];
    private bool _isOpen;
    private double _right;
    private double _wrong;
    private int _round;

    private enum State : byte
    {
        Whole,
        Tried, // split, and not yet known whether rightly
        Split,
        Refused,
    }

    /// <summary>Blocks that are split now.</summary>
    public int SplitBlocks => _split.Count;

    /// <summary>Blocks that came back whole although nobody here joined them.</summary>
    public long CameBack { get; private set; }

    /// <summary>Blocks that the kernel does not split.</summary>
    public int RefusedBlocks { get; private set; }

    /// <summary>Decides.</summary>
    /// <param name="residency">One <see cref="Residency"/> a page.</param>
    /// <param name="limits">How much may be split.</param>
    /// <param name="resident">Blocks that have memory.</param>
    /// <param name="room">Pages that DRAM has room for.</param>
    /// <param name="moveCost">What moving a page costs, in accesses.</param>
    /// <param name="plan">Receives the decision.</param>
    public void Plan(
        ReadOnlySpan<byte> residency, SplitLimits limits, long resident, long room, double moveCost, SplitPlan plan)
    {
        _round++;
        _right *= Memory;
        _wrong *= Memory;
        int tried = Review(residency, limits, room, plan);
        int most = limits.Share <= 0 ? 0 : Math.Max(1, (int)(limits.Share * resident));
        int allowed = Allowance(most, tried);
        if (model.HasLearned)
            PlanSplits(residency, room, Math.Min(limits.PerRound, allowed), moveCost, plan);
        _isOpen = allowed > plan.Splits.Length;
    }

    /// <summary>Whether a block of which few pages are in use is split, once another is worth its room.</summary>
    public bool IsSplitInstead(int block) => _isOpen && MayBeSplit(block);

    /// <summary>Takes in that a block was split.</summary>
    public void TakeSplit(int block)
    {
        if (_state[block] == State.Refused)
            RefusedBlocks--;
        _state[block] = State.Tried;
        _since[block] = _round;
        if (_times[block] < MostTimes)
            _times[block]++;
        _split.Add(block);
    }

    /// <summary>Takes in that a block is mapped as one again.</summary>
    /// <param name="block">The block.</param>
    /// <param name="asked">Whether it was joined on purpose.</param>
    public void TakeJoin(int block, bool asked)
    {
        if (!IsSplit(block))
            return;
        _state[block] = State.Whole;
        _since[block] = _round;
        _split.Remove(block);
        if (asked)
            return;
        // Who joins it will join it again: to be left alone for as long as may be.
        CameBack++;
        _times[block] = MostTimes;
    }

    /// <summary>Takes in that the kernel does not split a block, or not join it: it is not asked again for long.</summary>
    /// <param name="block">The block.</param>
    /// <param name="mayPass">Whether the cause may be gone at the next try. Each try that fails makes the next one wait twice as
    /// long; else it waits as long as may be.</param>
    public void TakeRefusal(int block, bool mayPass)
    {
        _since[block] = _round;
        if (IsSplit(block))
            return;
        if (_state[block] != State.Refused)
            RefusedBlocks++;
        _state[block] = State.Refused;
        _times[block] = mayPass ? (byte)Math.Min(_times[block] + 1, MostTimes) : (byte)MostTimes;
    }

    /// <summary>Takes over blocks that another planner of the domain had.</summary>
    public void CopyFrom(SplitPlanner other, int from, int to, int count)
    {
        other._state.AsSpan(from, count).CopyTo(_state.AsSpan(to));
        other._times.AsSpan(from, count).CopyTo(_times.AsSpan(to));
        other._since.AsSpan(from, count).CopyTo(_since.AsSpan(to));
        (_right, _wrong, _round, CameBack) = (other._right, other._wrong, other._round, other.CameBack);
        for (int block = to; block < to + count; block++)
        {
            if (IsSplit(block))
                _split.Add(block);
            else if (_state[block] == State.Refused)
                RefusedBlocks++;
        }
    }

    private bool IsSplit(int block) => _state[block] is State.Tried or State.Split;

    // Looks at what is split: was it right, and is it to be joined? Gives the number of those of which it is not known yet.
    private int Review(ReadOnlySpan<byte> residency, SplitLimits limits, long room, SplitPlan plan)
    {
        int tried = 0;
        foreach (int block in _split)
        {
            int age = _round - _since[block];
            if (age < Verdict)
            {
                tried++;
                continue;
            }
            Use use = UseOf(block, residency);
            if (_state[block] == State.Tried)
            {
                _state[block] = State.Split;
                if (use.Recent <= MostUsed)
                    _right++;
                else
                    _wrong++;
            }
            if (age < LeastSplit || plan.Joins.Length >= limits.PerRound || use.Absent > 0)
                continue;
            bool cold = age >= ColdRounds && use.Ever == 0 && use.Fast == 0;
            bool even = use.Recent >= EvenlyUsed && Math.Max(use.Fast, PageSizes.BlockPages - use.Fast) >= Majority;
            long arrive = use.Fast >= Majority ? PageSizes.BlockPages - use.Fast : 0;
            // What is joined on the slow tier needs no room in DRAM: also not where more is there already than may be.
            if ((!cold && !even) || (arrive > 0 && arrive > room))
                continue;
            room -= arrive;
            plan.Join(block);
        }
        return tried;
    }

    private Use UseOf(int block, ReadOnlySpan<byte> residency)
    {
        Use use = default;
        int first = block * PageSizes.BlockPages;
        for (int page = first; page < first + PageSizes.BlockPages; page++)
        {
            byte tier = residency[page];
            if (tier == Residency.Absent)
                use.Absent++;
            else if (Residency.Tier(tier) == Residency.Fast)
                use.Fast++;
            int own = history.State(page) % PageState.Own;
            if (PageState.IsUntouched(own))
                continue;
            int idle = PageState.IsIdle(own) ? PageState.IdleRounds(own / PageState.Levels) : 0;
            if (idle < Verdict)
                use.Recent++;
            if (idle < ColdRounds / 2)
                use.Ever++;
        }
        return use;
    }

    // How many more may be split: all that the limit allows where samples are mostly right, else as many as find that out.
    private int Allowance(int most, int tried)
    {
        int left = most - _split.Count;
        if (_right > 2 * _wrong && _right >= 1)
            return left;
        int trials = _wrong >= 1 ? 0 : Math.Max(FirstTrials, sizes.Length / TrialShare);
        return Math.Min(left, trials - tried);
    }

    private void PlanSplits(ReadOnlySpan<byte> residency, long room, int most, double moveCost, SplitPlan plan)
    {
        if (most <= 0)
            return;
        int count = 0;
        for (int block = 0; block < sizes.Length; block++)
        {
            if (sizes[block] != MappingSize.Size2M || !MayBeSplit(block) || samples.Repeats(block) < LeastRepeats)
                continue;
            // While more is fast than may be, much has to go, and a block goes in one piece for far less than page by page. Its
            // hot pages come back by themselves once it is split on the slow tier.
            if (room < 0 && Residency.Tier(residency[block * PageSizes.BlockPages]) == Residency.Fast)
                continue;
            double used = samples.Used(block);
            if (used > MostUsed)
                continue;
            int state = samples.StateOf(block * PageSizes.BlockPages);
            double gain = SplitGain.Of(PageSizes.BlockPages * model.MeanRate(state), used, model.MarginalValue);
            if (gain * Horizon <= used * moveCost)
                continue;
            if (count == _candidates.Length)
            {
                Array.Resize(ref _candidates, Math.Max(64, 2 * count));
                Array.Resize(ref _gains, _candidates.Length);
            }
            _candidates[count] = block;
            _gains[count++] = -gain;
        }
        Array.Sort(_gains, _candidates, 0, count);
        foreach (int block in _candidates.AsSpan(0, Math.Min(most, count)))
            plan.Split(block);
    }

    private bool MayBeSplit(int block)
    {
        if (_times[block] == 0)
            return true;
        return _round - _since[block] >= LeastWhole << _times[block];
    }

    private struct Use
    {
        public int Fast;
        public int Absent;
        public int Recent;
        public int Ever;
    }
}
