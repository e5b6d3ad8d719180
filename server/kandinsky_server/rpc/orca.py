"""The messages of ORCA, Envoy's open standard of load reports, by their names and numbers.

Source: https://github.com/cncf/xds, xds/data/orca/v3/orca_load_report.proto and xds/service/orca/v3/orca.proto. The
package `xds-protos`, which has them, brings other packages' modules under their names: OpenTelemetry's among them.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory

SERVICE = "xds.service.orca.v3.OpenRcaService"

_DOUBLE, _MESSAGE = (
    descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE,
    descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE,
)
_ONE, _MANY = (
    descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
    descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED,
)


def _file() -> descriptor_pb2.FileDescriptorProto:
    """What is needed of both files, in one."""
    file = descriptor_pb2.FileDescriptorProto(
        name="kandinsky/orca.proto",
        package="xds.orca",
        syntax="proto3",
        dependency=[duration_pb2.DESCRIPTOR.name],
    )
    report = file.message_type.add(name="OrcaLoadReport")
    for name, number in (("rps_fractional", 6), ("eps", 7), ("application_utilization", 9)):
        report.field.add(name=name, number=number, type=_DOUBLE, label=_ONE)
    entry = report.nested_type.add(name="NamedMetricsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=descriptor_pb2.FieldDescriptorProto.TYPE_STRING, label=_ONE)
    entry.field.add(name="value", number=2, type=_DOUBLE, label=_ONE)
    report.field.add(
        name="named_metrics",
        number=8,
        type=_MESSAGE,
        label=_MANY,
        type_name=".xds.orca.OrcaLoadReport.NamedMetricsEntry",
    )
    request = file.message_type.add(name="OrcaLoadReportRequest")
    request.field.add(
        name="report_interval", number=1, type=_MESSAGE, label=_ONE, type_name=".google.protobuf.Duration"
    )
    return file


def _classes() -> tuple[Any, Any]:
    # A pool of its own: whoever has the package as well may load it beside this.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(duration_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(_file())
    found = (
        pool.FindMessageTypeByName(f"xds.orca.{name}") for name in ("OrcaLoadReport", "OrcaLoadReportRequest")
    )
    report, request = map(message_factory.GetMessageClass, found)
    return report, request


OrcaLoadReport, OrcaLoadReportRequest = _classes()
