"""The error table, row by row: code, reason, field violations, retry delay, a sentence, and the request's id."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from kandinsky_api.v1 import image_pb2, prior_pb2, server_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.testing.running import RunningServer
from structlog.testing import capture_logs
from torch import Tensor

from tests.support.raw import Answer, Raw, connected, good_requests, only, pair, picture, sampling


@pytest.fixture(scope="module")
def raw(server: RunningServer) -> Iterator[Raw]:
    with connected(server.target) as stubs:
        yield stubs


@pytest.fixture(scope="module")
def prior_only(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raw]:
    model = only(tmp_path_factory.mktemp("prior-only"), tiny_model, "prior")
    with RunningServer(model, max_batch_rows=2) as running, connected(running.target) as stubs:
        yield stubs


@pytest.fixture(scope="module")
def decoder_only(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raw]:
    model = only(tmp_path_factory.mktemp("decoder-only"), tiny_model, "decoder")
    with RunningServer(model, max_batch_rows=2) as running, connected(running.target) as stubs:
        yield stubs


def check(answer: Answer, code: StatusCode, reason: str) -> None:
    """What every error has in common."""
    assert (answer.code, answer.reason, answer.domain) == (code, reason, "kandinsky-grpc.github.io"), answer
    assert len(answer.message) > 10
    assert answer.request_id
    assert not any(word in answer.message for word in ("Traceback", 'File "', ".py", "Error(", "0x"))


PRIOR: dict[str, Any] = {"prompts": ["a cat"]}

INVALID_FIELDS: list[tuple[str, Any, str]] = [
    ("Prior", prior_pb2.PriorRequest(), "prompts"),
    ("Prior", prior_pb2.PriorRequest(prompts=["a"] * 17), "prompts"),
    ("Prior", prior_pb2.PriorRequest(prompts=["a" * 2001]), "prompts[0]"),
    ("Prior", prior_pb2.PriorRequest(**PRIOR, negative_prompt="a" * 2001), "negative_prompt"),
    (
        "Prior",
        prior_pb2.PriorRequest(prompts=["a"], sampling=pb.PriorSampling(step_count=0)),
        "sampling.step_count",
    ),
    (
        "Prior",
        prior_pb2.PriorRequest(prompts=["a"], sampling=pb.PriorSampling(step_count=1001)),
        "sampling.step_count",
    ),
    (
        "Prior",
        prior_pb2.PriorRequest(**PRIOR, sampling=pb.PriorSampling(image_count=0)),
        "sampling.image_count",
    ),
    (
        "Prior",
        prior_pb2.PriorRequest(**PRIOR, sampling=pb.PriorSampling(image_count=17)),
        "sampling.image_count",
    ),
    ("Prior", prior_pb2.PriorRequest(**PRIOR, sampling=pb.PriorSampling(seed=-1)), "sampling.seed"),
    (
        "Prior",
        prior_pb2.PriorRequest(**PRIOR, sampling=pb.PriorSampling(seed=2**63 - 1, image_count=2)),
        "sampling.seed",
    ),
    (
        "Prior",
        prior_pb2.PriorRequest(**PRIOR, sampling=pb.PriorSampling(guidance_scale=float("nan"))),
        "sampling.guidance_scale",
    ),
    (
        "Prior",
        prior_pb2.PriorRequest(**PRIOR, sampling=pb.PriorSampling(guidance_scale=101)),
        "sampling.guidance_scale",
    ),
    ("Prior", prior_pb2.PriorRequest(**PRIOR, strength=0.5), "strength"),
    (
        "Prior",
        prior_pb2.PriorRequest(**PRIOR, options=pb.RequestOptions(preview_interval_steps=1)),
        "options.preview_interval_steps",
    ),
    (
        "Prior",
        prior_pb2.PriorRequest(**PRIOR, options=pb.RequestOptions(priority=pb.Priority.ValueType(9))),
        "options.priority",
    ),
    ("Interpolate", prior_pb2.InterpolateRequest(), "conditions"),
    (
        "Interpolate",
        prior_pb2.InterpolateRequest(
            conditions=[prior_pb2.Condition()], weights=[prior_pb2.Weights(values=[1])]
        ),
        "conditions[0]",
    ),
    ("Interpolate", prior_pb2.InterpolateRequest(conditions=[prior_pb2.Condition(text="a")]), "weights"),
    (
        "Interpolate",
        prior_pb2.InterpolateRequest(
            conditions=[prior_pb2.Condition(text="a")], weights=[prior_pb2.Weights(values=[1, 2])]
        ),
        "weights[0]",
    ),
    (
        "Interpolate",
        prior_pb2.InterpolateRequest(
            conditions=[prior_pb2.Condition(text="a")], weights=[prior_pb2.Weights(values=[float("inf")])]
        ),
        "weights[0]",
    ),
    ("Decode", image_pb2.DecodeRequest(), "embeddings"),
    ("Decode", image_pb2.DecodeRequest(embeddings=[pair()] * 17), "embeddings"),
    (
        "Decode",
        image_pb2.DecodeRequest(embeddings=[pair()], sampling=sampling(width_px=0)),
        "sampling.width_px",
    ),
    (
        "Decode",
        image_pb2.DecodeRequest(embeddings=[pair()], sampling=sampling(height_px=-64)),
        "sampling.height_px",
    ),
    (
        "Decode",
        image_pb2.DecodeRequest(
            embeddings=[pair()], output=pb.OutputOptions(format=pb.ImageFormat.ValueType(77))
        ),
        "output.format",
    ),
    (
        "Decode",
        image_pb2.DecodeRequest(embeddings=[pair()], output=pb.OutputOptions(quality=101)),
        "output.quality",
    ),
    (
        "Decode",
        image_pb2.DecodeRequest(
            embeddings=[pair()], output=pb.OutputOptions(format=pb.IMAGE_FORMAT_JPEG, embed_receipt=True)
        ),
        "output.embed_receipt",
    ),
    (
        "Decode",
        image_pb2.DecodeRequest(embeddings=[pair()], options=pb.RequestOptions(preview_max_px=15)),
        "options.preview_max_px",
    ),
    ("Img2Img", image_pb2.Img2ImgRequest(embeddings=[pair()]), "image"),
    (
        "Img2Img",
        image_pb2.Img2ImgRequest(embeddings=[pair()], image=pb.InputImage(data=picture()), strength=0),
        "strength",
    ),
    (
        "Img2Img",
        image_pb2.Img2ImgRequest(
            embeddings=[pair()],
            image=pb.InputImage(data=picture()),
            strength=0.1,
            sampling=sampling(step_count=5),
        ),
        "strength",
    ),
    ("Inpaint", image_pb2.InpaintRequest(embeddings=[pair()], image=pb.InputImage(data=picture())), "mask"),
    ("ControlNet", image_pb2.ControlNetRequest(embeddings=[pair()]), "hint"),
    (
        "ControlNet",
        image_pb2.ControlNetRequest(embeddings=[pair()], hint=pb.InputImage(data=picture()), strength=0.5),
        "strength",
    ),
    ("Generate", image_pb2.GenerateRequest(), "prompts"),
    ("Generate", image_pb2.GenerateRequest(prompts=["a"], mask=pb.InputImage(data=picture())), "mask"),
    ("Generate", image_pb2.GenerateRequest(prompts=["a"], paste_original=True), "paste_original"),
    (
        "Generate",
        image_pb2.GenerateRequest(prompts=["a"], prior_sampling=pb.PriorSampling(step_count=-1)),
        "prior_sampling.step_count",
    ),
    ("Estimate", server_pb2.EstimateRequest(), "request"),
    (
        "Estimate",
        server_pb2.EstimateRequest(decode=image_pb2.DecodeRequest(sampling=sampling())),
        "embeddings",
    ),
]


@pytest.mark.parametrize(
    ("method", "request_", "field"), INVALID_FIELDS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_bad_field_is_named(raw: Raw, method: str, request_: Any, field: str) -> None:
    answer = raw.call(method, request_)
    check(answer, StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert field in answer.violations
    assert all(answer.violations.values())
    assert answer.message.startswith(tuple(answer.violations))


def test_everything_that_is_wrong_is_told_at_once(raw: Raw) -> None:
    bad = image_pb2.DecodeRequest(
        sampling=sampling(step_count=0, width_px=65, guidance_scale=-1, seed=-1, image_count=99),
        output=pb.OutputOptions(quality=0),
    )
    assert set(raw.call("Decode", bad).violations) == {
        "embeddings",
        "sampling.step_count",
        "sampling.width_px",
        "sampling.guidance_scale",
        "sampling.seed",
        "sampling.image_count",
        "output.quality",
    }


def test_a_size_off_the_step_gets_the_nearest_valid_one(raw: Raw) -> None:
    bad = image_pb2.DecodeRequest(embeddings=[pair()], sampling=sampling(width_px=100, height_px=20))
    violations = raw.call("Decode", bad).violations
    assert "nearest is 128" in violations["sampling.width_px"]
    assert "nearest is 64" in violations["sampling.height_px"]


def test_bytes_that_are_no_message_are_the_clients_fault(raw: Raw) -> None:
    for path in ("ImageService/Decode", "PriorService/Prior"):
        garbage: grpc.UnaryStreamMultiCallable[bytes, bytes] = raw.channel.unary_stream(
            f"/kandinsky_api.v1.{path}"
        )
        check(raw.read(garbage, b"\xff\xff\xff"), StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    path = "/kandinsky_api.v1.ServerService/Estimate"
    estimating: grpc.UnaryUnaryMultiCallable[bytes, bytes] = raw.channel.unary_unary(path)
    check(raw.read(estimating, b"\xff\xff\xff"), StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")


def test_an_unknown_method_is_unimplemented(raw: Raw) -> None:
    unknown: grpc.UnaryUnaryMultiCallable[bytes, bytes] = raw.channel.unary_unary(
        "/kandinsky_api.v1.ImageService/Paint"
    )
    assert raw.read(unknown, b"").code == StatusCode.UNIMPLEMENTED


def test_an_embedding_of_another_prior_is_refused(raw: Raw) -> None:
    request = image_pb2.DecodeRequest(embeddings=[pair(fingerprint="another")], sampling=sampling())
    answer = raw.call("Decode", request)
    check(answer, StatusCode.FAILED_PRECONDITION, "FINGERPRINT_MISMATCH")
    assert "another" in answer.message


def test_an_embedding_of_this_prior_is_taken(raw: Raw) -> None:
    made = raw.call("Prior", good_requests()["Prior"]).embeddings[0].embeddings
    assert made.positive.prior_fingerprint
    request = image_pb2.DecodeRequest(embeddings=[made], sampling=sampling())
    assert raw.call("Decode", request).code == StatusCode.OK


def test_a_server_without_depth_model_says_what_is_missing(decoder_only: Raw, raw: Raw) -> None:
    request = good_requests()["ControlNet"]
    request.depth_from.CopyFrom(request.hint)
    answer = decoder_only.call("ControlNet", request)
    check(answer, StatusCode.FAILED_PRECONDITION, "STAGE_NOT_LOADED")
    assert "depth" in answer.message


@pytest.mark.parametrize("method", ["Decode", "Img2Img", "Inpaint", "ControlNet", "Generate"])
def test_a_server_with_only_a_prior_refuses_images(prior_only: Raw, method: str) -> None:
    check(
        prior_only.call(method, good_requests()[method]), StatusCode.FAILED_PRECONDITION, "STAGE_NOT_LOADED"
    )


@pytest.mark.parametrize("method", ["Prior", "Interpolate", "Inpaint", "ControlNet", "Generate"])
def test_a_server_with_only_a_decoder_refuses_the_rest(decoder_only: Raw, method: str) -> None:
    check(
        decoder_only.call(method, good_requests()[method]), StatusCode.FAILED_PRECONDITION, "STAGE_NOT_LOADED"
    )


def test_a_partial_server_serves_what_it_has_and_its_health_says_so(
    prior_only: Raw, decoder_only: Raw
) -> None:
    made = prior_only.call("Prior", good_requests()["Prior"]).embeddings[0].embeddings
    # A decoder without a prior of its own cannot know which prior is right, and takes any.
    request = image_pb2.DecodeRequest(embeddings=[made], sampling=sampling())
    assert decoder_only.call("Decode", request).code == StatusCode.OK
    names = (
        "",
        "kandinsky_api.v1.PriorService",
        "kandinsky_api.v1.ImageService",
        "prior",
        "decoder",
        "inpaint",
    )
    serving, not_serving = "SERVING", "NOT_SERVING"
    assert [prior_only.serving(name) for name in names] == [
        serving,
        serving,
        not_serving,
        serving,
        not_serving,
        not_serving,
    ]
    assert [decoder_only.serving(name) for name in names] == [
        serving,
        not_serving,
        serving,
        not_serving,
        serving,
        not_serving,
    ]


def test_a_deadline_that_cannot_be_met_is_refused_at_once(raw: Raw) -> None:
    request = image_pb2.DecodeRequest(embeddings=[pair()], sampling=sampling(step_count=1000, image_count=16))
    answer = raw.call("Decode", request, timeout=2)
    check(answer, StatusCode.RESOURCE_EXHAUSTED, "DEADLINE_UNREACHABLE")
    assert answer.retry_seconds is not None
    assert answer.retry_seconds > 0
    assert not answer.events


def test_a_network_that_overflows_fails_its_request_alone(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = server.app.model.networks["decoder"]
    inner = network.call
    with monkeypatch.context() as patch:
        patch.setattr(network, "call", lambda *inputs: tuple(each * 1e38 * 1e38 for each in inner(*inputs)))
        check(raw.call("Decode", good_requests()["Decode"]), StatusCode.INTERNAL, "NON_FINITE")
    assert raw.call("Decode", good_requests()["Decode"]).code == StatusCode.OK


def test_an_overflow_that_shows_in_a_preview_ends_the_request_there(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not after all its steps."""
    network, steps = server.app.model.networks["decoder"], 400
    inner, calls = network.call, []

    def overflows(*inputs: Tensor) -> tuple[Tensor, ...]:
        calls.append(inputs[0].shape)
        return tuple(each * float("nan") for each in inner(*inputs))

    request = good_requests()["Decode"]
    request.sampling.step_count = steps
    request.options.preview_interval_steps = 1
    with monkeypatch.context() as patch:
        patch.setattr(network, "call", overflows)
        check(raw.call("Decode", request), StatusCode.INTERNAL, "NON_FINITE")
    assert len(calls) < steps


def test_a_backend_that_raises_is_an_internal_error_without_its_words(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret: device 0x7f is on fire")

    with monkeypatch.context() as patch:
        patch.setattr(server.app.model.networks["inpaint"], "call", broken)
        answer = raw.call("Inpaint", good_requests()["Inpaint"])
    check(answer, StatusCode.INTERNAL, "BACKEND_FAILED")
    assert "secret" not in answer.message
    assert raw.call("Inpaint", good_requests()["Inpaint"]).code == StatusCode.OK


def test_an_unforeseen_fault_is_told_by_its_request_id_alone(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(server.app.handlers.converter.model, "decoders", None)
        answer = raw.call("Decode", good_requests()["Decode"], x_request_id="mine-1")
    assert answer.code == StatusCode.INTERNAL
    assert answer.message == "the server failed; its log has the details under mine-1"
    failure = next(line for line in logs if line["event"] == "request failed")
    assert (failure["request_id"], type(failure["exc_info"])) == ("mine-1", AttributeError)


def test_accounts_that_fail_change_no_answer(
    server: RunningServer, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(server.app.metrics, "request_seconds", None)
        good = raw.call("Decode", good_requests()["Decode"], x_request_id="mine-3")
        bad = raw.call("Prior", prior_pb2.PriorRequest(), x_request_id="mine-4")
    assert (good.code, good.kinds[-1]) == (StatusCode.OK, "completed")
    check(bad, StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    failures = [line for line in logs if line["event"] == "accounting failed"]
    assert [(line["request_id"], type(line["exc_info"])) for line in failures] == [
        ("mine-3", AttributeError),
        ("mine-4", AttributeError),
    ]


def test_a_refused_request_is_logged_once_with_its_reason(raw: Raw) -> None:
    with capture_logs() as logs:
        raw.call("Prior", prior_pb2.PriorRequest(), x_request_id="mine-2")
    (line,) = [line for line in logs if line.get("request_id") == "mine-2"]
    assert (line["code"], line["reason"], line["rpc"]) == ("INVALID_ARGUMENT", "INVALID_FIELD", "Prior")


def test_the_clients_request_id_is_kept_and_a_wild_one_replaced(raw: Raw) -> None:
    bad, good = prior_pb2.PriorRequest(), good_requests()["Prior"]
    assert raw.call("Prior", bad, x_request_id="order-17:a.b_c").request_id == "order-17:a.b_c"
    assert raw.call("Prior", good, x_request_id="order-18").request_id == "order-18"
    assert raw.call("GetServerInfo", server_pb2.GetServerInfoRequest(), x_request_id="i").request_id == "i"
    for wild in ("a" * 65, "two words", "<script>"):
        answer = raw.call("Prior", bad, x_request_id=wild)
        assert answer.request_id
        assert answer.request_id != wild
