// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Replay.Traces;

/// <summary>A stream of which the first bytes can be looked at before they are read; closes the inner one with itself.</summary>
internal sealed class PeekableStream : Stream
{
    private const int Peeked = 8;

    private readonly Stream _inner;
    private readonly byte[] _head = new byte[Peeked];
    private readonly int _headLength;
    private int _headRead;

    public PeekableStream(Stream inner)
    {
        _inner = inner;
        _headLength = inner.ReadAtLeast(_head, Peeked, throwOnEndOfStream: false);
    }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public bool StartsWith(ReadOnlySpan<byte> bytes) => _head.AsSpan(0, _headLength).StartsWith(bytes);

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int Read(Span<byte> buffer)
    {
        if (_headRead == _headLength)
            return _inner.Read(buffer);
        int count = Math.Min(buffer.Length, _headLength - _headRead);
        _head.AsSpan(_headRead, count).CopyTo(buffer);
        _headRead += count;
        return count;
    }

    public override int ReadByte() => _headRead < _headLength ? _head[_headRead++] : _inner.ReadByte();

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _inner.Dispose();
        base.Dispose(disposing);
    }
}
