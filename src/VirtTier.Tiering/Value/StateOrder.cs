// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Value;

/// <summary>Puts the states in which there are pages in order: of a guest's, few.</summary>
internal sealed class StateOrder
{
    private int[] _states = [];
    private float[] _keys = [];

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
            if (count == _states.Length)
            {
                Array.Resize(ref _states, Math.Max(64, count * 2));
                Array.Resize(ref _keys, _states.Length);
            }
            _states[count] = state;
            _keys[count++] = keys[state];
        }
        _keys.AsSpan(0, count).Sort(_states.AsSpan(0, count));
        return _states.AsSpan(0, count);
    }
}
