// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Agent.Bus;

/// <summary>
/// Names of the agent's D-Bus interface. <c>docs/dbus.md</c> explains each member, <c>packaging/org.virttier.Agent1.conf</c> says
/// who may call what.
/// </summary>
internal static class AgentInterface
{
    public const string Name = "org.virttier.Agent1";
    public const string Path = "/org/virttier/Agent1";

    /// <summary>The running domains: UUID, name, state, and why it is not being tiered (empty when it is).</summary>
    public const string ListDomains = "ListDomains";

    /// <summary>One domain, by name or UUID, as one JSON document.</summary>
    public const string GetDomain = "GetDomain";

    /// <summary>How one domain's slow accesses would fall with more DRAM, by name or UUID, as one JSON document.</summary>
    public const string GetCurve = "GetCurve";

    /// <summary>One domain with all that is known of it, by name or UUID, as one JSON document.</summary>
    public const string GetDetail = "GetDetail";

    /// <summary>Where one domain accessed its memory, and when: by name or UUID, for so many seconds back,
    /// as one JSON document.</summary>
    public const string GetHeat = "GetHeat";

    /// <summary>How much DRAM the running domains would need, as one JSON document.</summary>
    public const string GetEstimate = "GetEstimate";

    /// <summary>The status as one JSON document.</summary>
    public const string GetStatus = "GetStatus";

    /// <summary>Reads the configuration again; when that fails the old one stays in force.</summary>
    public const string Reload = "Reload";

    /// <summary>From the qemu hook: a domain's name, libvirt's operation on it, and the file with its XML.</summary>
    public const string Notify = "Notify";

    /// <summary>From the qemu hook, before a start: a domain's name and the file with its XML;
    /// why it may not start, or nothing.</summary>
    public const string Admit = "Admit";

    /// <summary>The error for a domain that does not run, of every method that asks for one.</summary>
    public const string NoSuchDomain = "org.virttier.Agent1.Error.NoSuchDomain";

    /// <summary>The error for a name or UUID that more than one running domain has; the message names them.</summary>
    public const string AmbiguousDomain = "org.virttier.Agent1.Error.AmbiguousDomain";

    /// <summary>The error of <see cref="GetCurve"/> for a domain of which too little is known yet.</summary>
    public const string NoCurve = "org.virttier.Agent1.Error.NoCurve";

    /// <summary>The error of <see cref="GetHeat"/> for a domain that was not sampled yet.</summary>
    public const string NoHeat = "org.virttier.Agent1.Error.NoHeat";

    /// <summary>The error of <see cref="Reload"/>: file, line, column, what is wrong and what would be right.</summary>
    public const string BadConfiguration = "org.virttier.Agent1.Error.BadConfiguration";

    public const string Introspection = """
        <!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
         "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
        <node>
          <interface name="org.virttier.Agent1">
            <method name="ListDomains">
              <arg name="domains" type="a(ssss)" direction="out"/>
            </method>
            <method name="GetDomain">
              <arg name="name_or_uuid" type="s" direction="in"/>
              <arg name="json" type="s" direction="out"/>
            </method>
            <method name="GetCurve">
              <arg name="name_or_uuid" type="s" direction="in"/>
              <arg name="json" type="s" direction="out"/>
            </method>
            <method name="GetDetail">
              <arg name="name_or_uuid" type="s" direction="in"/>
              <arg name="json" type="s" direction="out"/>
            </method>
            <method name="GetHeat">
              <arg name="name_or_uuid" type="s" direction="in"/>
              <arg name="seconds" type="u" direction="in"/>
              <arg name="json" type="s" direction="out"/>
            </method>
            <method name="GetEstimate">
              <arg name="json" type="s" direction="out"/>
            </method>
            <method name="GetStatus">
              <arg name="json" type="s" direction="out"/>
            </method>
            <method name="Reload"/>
            <method name="Notify">
              <arg name="domain" type="s" direction="in"/>
              <arg name="operation" type="s" direction="in"/>
              <arg name="xml_file" type="s" direction="in"/>
            </method>
            <method name="Admit">
              <arg name="domain" type="s" direction="in"/>
              <arg name="xml_file" type="s" direction="in"/>
              <arg name="refusal" type="s" direction="out"/>
            </method>
            <property name="Version" type="s" access="read">
              <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="const"/>
            </property>
            <property name="LibvirtConnected" type="b" access="read">
              <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="false"/>
            </property>
            <property name="RunningDomains" type="u" access="read">
              <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="false"/>
            </property>
            <property name="HookCalls" type="t" access="read">
              <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="false"/>
            </property>
          </interface>
          <interface name="org.freedesktop.DBus.Properties">
            <method name="Get">
              <arg name="interface" type="s" direction="in"/>
              <arg name="property" type="s" direction="in"/>
              <arg name="value" type="v" direction="out"/>
            </method>
            <method name="GetAll">
              <arg name="interface" type="s" direction="in"/>
              <arg name="properties" type="a{sv}" direction="out"/>
            </method>
          </interface>
          <interface name="org.freedesktop.DBus.Introspectable">
            <method name="Introspect">
              <arg name="data" type="s" direction="out"/>
            </method>
          </interface>
        </node>
        """;
}
