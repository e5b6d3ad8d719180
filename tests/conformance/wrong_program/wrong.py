"""A conformance program that does all that a wrong one can do."""

import json
import os
import sys
import time

REPORTS: dict[str, dict[str, object]] = {
    "health": {"health": "not_serving"},
    "health_of_a_service": {"health": "serving"},
    # A picture of another seed, perhaps.
    "decode": {"images": [{"index": 0, "sha256": "0" * 64}]},
    # It took the events as they came, and never asked the server.
    "retry_unavailable": {"events": ["queued", "completed"]},
    # An error where there is none.
    "info": {"error": {"kind": "rpc", "code": "INTERNAL"}},
    "embedding_file_f32": {},
}

for line in sys.stdin:
    case = json.loads(line)
    match case["case"]:
        case "health_of_an_unknown_service":
            print("it falls over", file=sys.stderr)
            os._exit(3)
        case "reason_not_read":
            print("no JSON", flush=True)
        case "seed_largest":
            time.sleep(600)
        case "embedding_file_f32":
            with open(case["save_file"], "wb") as file:
                file.write(b"another file")
    print(json.dumps({"case": case["case"], **REPORTS.get(case["case"], {})}), flush=True)
