// Package kandinsky calls a Kandinsky 2.2 gRPC model server.
//
// A [Client] has a method for each RPC. Requests are the contract's own messages, of package kandinskyapiv1. [Client.Prior]
// turns prompts into embeddings, [Client.Decode] embeddings into images; they return once all results are there, in the
// order of the request. [Client.PriorStream], [Client.DecodeStream] and their likes are the same calls as they happen: a
// sequence of events to range over.
//
// # Deadlines and cancelling
//
// The context of a call does both, and carries metadata such as traceparent to the server
// ([google.golang.org/grpc/metadata.AppendToOutgoingContext]). Its deadline is that of the whole call, retries included.
// A context without one gets the timeout of [WithTimeout], or none. Leaving the loop over a stream cancels the call too. The server
// stops working for a cancelled call within one denoising step.
//
// # Errors
//
// What the server refuses, and what goes wrong on the way to it, is an [*Error]: with the gRPC code, the server's reason, the
// fields to change, the advised delay and the request's id in the server's log. [google.golang.org/grpc/status.FromError] takes it as
// well, and errors.Is finds [context.Canceled] and [context.DeadlineExceeded] in it where the call's own context ended it. Beside
// it there are [ErrIncompleteStream], [ErrArgument] and [ErrEmbeddingFile].
//
// # Retries
//
// A call that finds no server, or one that is full and says for how long, is tried again, up to five times, within its
// deadline, without the results that have been handed out. It is the same call each time: where a request has no seed, the
// client draws one before the first try.
//
// With CheckpointIntervalSteps in its options, a call that loses its server goes on elsewhere from its last checkpoints.
package kandinsky
