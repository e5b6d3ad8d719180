package kandinsky

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc"

	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// opener is a generated method of a streaming RPC.
type opener[Request, Response any] func(context.Context, Request, ...grpc.CallOption) (grpc.ServerStreamingClient[Response], error)

// response is a pointer to a response of a streaming RPC: all have the one field `event`.
type response[Response any] interface {
	*Response
	GetEvent() *kandinskyapiv1.Event
}

// streamOf returns the events of a call over all its tries. The call begins when the sequence is ranged over, and is cancelled
// when the loop is left.
func streamOf[Request streamRequest, Response any, Pointer response[Response]](
	ctx context.Context, c *Client, request Request, open opener[Request, Response],
) iter.Seq2[Event, error] {
	request = filled(c, request)
	return func(yield func(Event, error) bool) {
		ctx, cancel := c.begin(ctx)
		defer cancel()
		patience := patience{retries: c.retries}
		for {
			delivered, err := try[Request, Response, Pointer](ctx, request, open, yield)
			if err == nil {
				return
			}
			// Once a result was handed out there is no next try: it could come twice.
			if failed := (*Error)(nil); errors.As(err, &failed) && !delivered {
				if failed = c.wait(ctx, &patience, failed); failed == nil {
					continue
				}
				err = failed
			}
			yield(nil, err)
			return
		}
	}
}

// try makes one try and hands out its events. It tells whether a result was among them. The error is nil when the stream came to
// its end, or the caller left the loop.
func try[Request, Response any, Pointer response[Response]](
	ctx context.Context, request Request, open opener[Request, Response], yield func(Event, error) bool,
) (delivered bool, _ error) {
	stream, err := open(ctx, request)
	if err != nil {
		return false, errorOf(ctx, err, nil, nil)
	}
	assembly := newAssembly()
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			completed, err := assembly.finish()
			if err == nil {
				yield(completed, nil)
			}
			return delivered, err
		}
		if err != nil {
			header, _ := stream.Header() // its error is the one at hand
			return delivered, errorOf(ctx, err, stream.Trailer(), header)
		}
		event, err := assembly.receive(Pointer(message).GetEvent())
		if err != nil {
			return delivered, err
		}
		if event == nil {
			continue
		}
		delivered = delivered || isResult(event)
		if !yield(event, nil) {
			return delivered, nil
		}
	}
}

func isResult(event Event) bool {
	switch event.(type) {
	case *EmbeddingResult, *ImageResult:
		return true
	default:
		return false
	}
}
