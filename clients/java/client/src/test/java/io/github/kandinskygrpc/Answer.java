package io.github.kandinskygrpc;

import io.github.kandinskygrpc.api.v1.Event;
import io.grpc.Metadata;
import io.grpc.Status;
import java.util.List;

/**
 * What the fake server answers one call with.
 *
 * @param status how the call ends after its events; null: not before the client has gone
 */
record Answer(List<Event> events, Status status, Metadata trailers) {
  static Answer of(Event... events) {
    return new Answer(List.of(events), Status.OK, new Metadata());
  }

  static Answer failing(Status status, Event... events) {
    return new Answer(List.of(events), status, new Metadata());
  }

  static Answer failing(Status status, Metadata trailers) {
    return new Answer(List.of(), status, trailers);
  }

  /** Sends the events, and goes on for ever. */
  static Answer endless(Event... events) {
    return new Answer(List.of(events), null, new Metadata());
  }
}
