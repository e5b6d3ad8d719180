"""Writes dashboard.json beside this file: `python deploy/grafana/dashboard.py`. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("dashboard.json")
SELECT = 'instance=~"$instance"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS, WIDTH, HEIGHT = 3, 8, 7


def rate(metric: str, by: str = "", where: str = "") -> str:
    """Growth a second of a counter over all chosen instances."""
    selector = f"{SELECT},{where}" if where else SELECT
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate(kandinsky_{metric}{{{selector}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, by: str) -> str:
    """A quantile of a histogram, estimated from its buckets."""
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', f'le, {by}')})"


def mean(histogram: str, by: str) -> str:
    """The mean of what a histogram observed."""
    return f"{rate(f'{histogram}_sum', by)} / {rate(f'{histogram}_count', by)}"


def panel(title: str, unit: str, **targets: str) -> dict[str, Any]:
    """A time series; ``targets`` are expressions by legend."""
    return {"title": title, "unit": unit, "targets": targets}


def gauge(metric: str) -> str:
    """A gauge of the chosen instances."""
    return f"kandinsky_{metric}{{{SELECT}}}"


ROWS: dict[str, list[dict[str, Any]]] = {
    "Requests": [
        panel("Requests by RPC", "reqps", **{"{{rpc}}": rate("requests_total", "rpc")}),
        panel(
            "Share that failed on the server",
            "percentunit",
            **{
                "{{rpc}}": rate("requests_total", "rpc", 'code=~"INTERNAL|UNKNOWN"')
                + " / "
                + rate("requests_total", "rpc")
            },
        ),
        panel(
            "Seconds of a request",
            "s",
            **{
                "p50 {{rpc}}": quantile(0.5, "request_seconds", "rpc"),
                "p95 {{rpc}}": quantile(0.95, "request_seconds", "rpc"),
            },
        ),
        panel("Answers by code", "reqps", **{"{{code}}": rate("requests_total", "code")}),
        panel(
            "Seconds to the first event",
            "s",
            **{"p95 {{rpc}}": quantile(0.95, "first_event_seconds", "rpc")},
        ),
        panel("In flight", "short", **{"{{rpc}}": f"sum by (rpc) ({gauge('requests_in_flight')})"}),
    ],
    "Queue": [
        panel("Trajectories that wait or run", "short", **{"{{instance}}": gauge("queue_length")}),
        panel("Seconds of work taken in", "s", **{"{{instance}}": gauge("queued_work_seconds")}),
        panel(
            "Requests",
            "short",
            **{
                "waiting {{instance}}": gauge("requests_waiting"),
                "running {{instance}}": gauge("requests_running"),
            },
        ),
        panel(
            "Seconds to the first step",
            "s",
            **{
                "p50 {{rpc}}": quantile(0.5, "queue_wait_seconds", "rpc"),
                "p95 {{rpc}}": quantile(0.95, "queue_wait_seconds", "rpc"),
            },
        ),
        panel(
            "Cancelled and refused",
            "reqps",
            **{
                "cancelled {{reason}}": rate("cancellations_total", "reason"),
                "refused {{reason}}": rate("rejections_total", "reason"),
            },
        ),
    ],
    "Engine": [
        panel("Mean rows of a network call", "short", **{"{{stage}}": mean("batch_rows", "stage")}),
        panel(
            "Mean requests that share a network call",
            "short",
            **{"{{stage}}": mean("batch_requests", "stage")},
        ),
        panel(
            "Seconds of a network call",
            "s",
            **{
                "p50 {{stage}}": quantile(0.5, "step_seconds", "stage"),
                "p95 {{stage}}": quantile(0.95, "step_seconds", "stage"),
            },
        ),
        panel(
            "The engine's time",
            "percentunit",
            **{
                "busy": f"avg (rate({gauge('engine_busy_seconds_total')}[$__rate_interval]))",
                "of that inside networks": rate("network_seconds_total")
                + " / "
                + rate("engine_busy_seconds_total"),
            },
        ),
        panel("Trajectory steps", "ops", **{"{{stage}}": rate("steps_total", "stage")}),
        panel(
            "Results",
            "ops",
            **{
                "images {{rpc}}": rate("images_total", "rpc"),
                "embeddings {{rpc}}": rate("embeddings_total", "rpc"),
            },
        ),
        panel("Pixels", "ops", **{"{{rpc}}": rate("pixels_total", "rpc")}),
        panel(
            "Prior cache: share of lookups that hit",
            "percentunit",
            hit=rate("prior_cache_lookups_total", where='result="hit"')
            + " / "
            + rate("prior_cache_lookups_total"),
        ),
    ],
    "Backends": [
        panel(
            "Networks that eager took over",
            "short",
            **{"{{instance}} {{stage}} {{backend}} {{reason}}": gauge("backend_fallback_total")},
        ),
        panel(
            "Calls of shapes that are not prepared",
            "reqps",
            **{"{{network}}": rate("unprepared_calls_total", "network")},
        ),
        panel(
            "Difference to eager at start",
            "short",
            **{"{{instance}} {{stage}} {{backend}}": gauge("backend_parity_difference")},
        ),
        panel(
            "Seconds since a backend took over",
            "s",
            **{
                "{{instance}} {{stage}} {{backend}}": "time() - "
                + gauge("backend_serving_since_timestamp_seconds")
            },
        ),
        panel(
            "Batches the device had no room for",
            "short",
            **{"{{instance}} {{stage}}": gauge("out_of_memory_total")},
        ),
        panel("Memory of the device", "bytes", **{"{{instance}} {{kind}}": gauge("device_memory_bytes")}),
        panel("Seconds to load a stage", "s", **{"{{instance}} {{stage}}": gauge("model_load_seconds")}),
        panel(
            "Output that nobody read in time",
            "short",
            **{"{{instance}}": rate("log_lines_dropped_total", "instance")},
        ),
        panel(
            "Versions",
            "short",
            **{"{{instance}} server {{server}}, torch {{torch}}, {{device}} {{dtype}}": gauge("build_info")},
        ),
    ],
}


def panels() -> Iterator[dict[str, Any]]:
    """Every panel in its place: a heading for each row, then three to a line."""
    number, top = 1, 0
    for heading, members in ROWS.items():
        place = {"h": 1, "w": COLUMNS * WIDTH, "x": 0, "y": top}
        yield {
            "id": number,
            "type": "row",
            "title": heading,
            "collapsed": False,
            "gridPos": place,
            "panels": [],
        }
        number, top = number + 1, top + 1
        for index, member in enumerate(members):
            line, column = divmod(index, COLUMNS)
            yield {
                "id": number,
                "type": "timeseries",
                "title": member["title"],
                "datasource": SOURCE,
                "gridPos": {"h": HEIGHT, "w": WIDTH, "x": column * WIDTH, "y": top + line * HEIGHT},
                "fieldConfig": {"defaults": {"unit": member["unit"], "min": 0}, "overrides": []},
                "targets": [
                    {"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expr, "legendFormat": legend}
                    for i, (legend, expr) in enumerate(member["targets"].items())
                ],
            }
            number += 1
        top += -(-len(members) // COLUMNS) * HEIGHT


def dashboard() -> dict[str, Any]:
    """What Grafana imports."""
    instances = "label_values(kandinsky_build_info, instance)"
    return {
        "uid": "kandinsky-server",
        "title": "Kandinsky 2.2 server",
        "schemaVersion": 39,
        "tags": ["kandinsky"],
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                {
                    "name": "instance",
                    "type": "query",
                    "datasource": SOURCE,
                    "query": {"query": instances, "refId": "instance"},
                    "refresh": 2,
                    "multi": True,
                    "includeAll": True,
                    "allValue": ".*",
                },
            ]
        },
        "panels": list(panels()),
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(dashboard(), indent=2) + "\n")
