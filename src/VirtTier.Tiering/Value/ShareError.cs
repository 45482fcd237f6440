// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Value;

/// <summary>Keeps how far the predicted share of fast accesses is off, on average over the last rounds.</summary>
internal sealed class ShareError
{
    // The average looks back over about five rounds.
    private const double NewWeight = 0.2;

    private double _predicted = double.NaN;
    private double _fast;
    private double _all;

    /// <summary>The mean of |predicted - observed|, 0..1; 1 until a prediction came due.</summary>
    public double Mean { get; private set; } = 1;

    /// <summary>States what share of the coming round's accesses should be fast.</summary>
    public void Predict(double share) => _predicted = share;

    /// <summary>Counts accesses of the running round.</summary>
    public void Observe(double accesses, bool fast)
    {
        _all += accesses;
        if (fast)
            _fast += accesses;
    }

    /// <summary>Compares what was observed with the prediction.</summary>
    public void EndRound()
    {
        if (_all > 0 && !double.IsNaN(_predicted))
        {
            double error = Math.Abs(_predicted - (_fast / _all));
            Mean = Mean == 1 ? error : Mean + (NewWeight * (error - Mean));
        }
        _fast = _all = 0;
    }
}
