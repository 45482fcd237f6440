// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Value;

/// <summary>Puts the states in which there are pages in order: of a guest's, few.</summary>
/// <param name="states">Weighted states.</param>
internal sealed class StateOrder(int states)
{
    private readonly int[] _states = new int[states];
    private readonly float[] _keys = new float[states];

    /// <summary>The states with pages in either tier, the one of the lowest key first; valid until the next call.</summary>
    /// <param name="fast">Fast pages by state.</param>
    /// <param name="slow">Slow pages by state.</param>
    /// <param name="keys">By state.</param>
    public ReadOnlySpan<int> Sort(ReadOnlySpan<long> fast, ReadOnlySpan<long> slow, ReadOnlySpan<float> keys)
    {
        int count = 0;
        for (int state = 0; state < fast.Length; state++)
        {
            if ((fast[state] | slow[state]) == 0)
                continue;
            _states[count] = state;
            _keys[count++] = keys[state];
        }
        _keys.AsSpan(0, count).Sort(_states.AsSpan(0, count));
        return _states.AsSpan(0, count);
    }
}
