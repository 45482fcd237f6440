// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Agent.Configuration;

/// <summary>The configuration cannot be used; the message names file, line, column, the value and what would be right.</summary>
internal sealed class ConfigException(string message, Exception? inner = null) : Exception(message, inner);
