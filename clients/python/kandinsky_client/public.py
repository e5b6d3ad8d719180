"""The public names, which `kandinsky_client` offers as its own."""

from kandinsky_client.aio import AsyncKandinsky
from kandinsky_client.client import Kandinsky
from kandinsky_client.connection import ClientOptions
from kandinsky_client.embedding_file import load_embeddings, save_embeddings
from kandinsky_client.embeddings import Embedding, EmbeddingPair
from kandinsky_client.errors import (
    AuthenticationError,
    AuthorizationError,
    CallCancelledError,
    DeadlineExceededError,
    DeadlineUnreachableError,
    EmbeddingFileError,
    FieldViolation,
    FingerprintMismatchError,
    IncompleteStreamError,
    InvalidRequestError,
    KandinskyError,
    OverloadedError,
    PreconditionError,
    RpcError,
    ServerError,
    StageNotLoadedError,
    TlsError,
    UnavailableError,
    UnreachableError,
)
from kandinsky_client.event_streams import AsyncEventStream, EventStream
from kandinsky_client.events import EmbeddingReady, Event, ImageReady, Preview, Progress, Queued
from kandinsky_client.inputs import ConditionLike, EmbeddingLike, EmbeddingsLike, ImageLike
from kandinsky_client.options import CallOptions, ImageOptions, PriorOptions
from kandinsky_client.receipts import Receipt, Timings
from kandinsky_client.result_sets import Completed, EmbeddingSet, ImageSet
from kandinsky_client.results import EmbeddingResult, ImageResult, TruncatedText
from kandinsky_client.server_state import Estimate, Health, ServerInfo
from kandinsky_client.tls import Tls

__all__ = [
    "AsyncEventStream",
    "AsyncKandinsky",
    "AuthenticationError",
    "AuthorizationError",
    "CallCancelledError",
    "CallOptions",
    "ClientOptions",
    "Completed",
    "ConditionLike",
    "DeadlineExceededError",
    "DeadlineUnreachableError",
    "Embedding",
    "EmbeddingFileError",
    "EmbeddingLike",
    "EmbeddingPair",
    "EmbeddingReady",
    "EmbeddingResult",
    "EmbeddingSet",
    "EmbeddingsLike",
    "Estimate",
    "Event",
    "EventStream",
    "FieldViolation",
    "FingerprintMismatchError",
    "Health",
    "ImageLike",
    "ImageOptions",
    "ImageReady",
    "ImageResult",
    "ImageSet",
    "IncompleteStreamError",
    "InvalidRequestError",
    "Kandinsky",
    "KandinskyError",
    "OverloadedError",
    "PreconditionError",
    "Preview",
    "PriorOptions",
    "Progress",
    "Queued",
    "Receipt",
    "RpcError",
    "ServerError",
    "ServerInfo",
    "StageNotLoadedError",
    "Timings",
    "Tls",
    "TlsError",
    "TruncatedText",
    "UnavailableError",
    "UnreachableError",
    "load_embeddings",
    "save_embeddings",
]
