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
		exchange := newExchange(c, request.GetOptions())
		for sent := request; ; {
			err := try[Request, Response, Pointer](ctx, exchange, sent, open, yield)
			if err == nil {
				return
			}
			if err := exchange.wait(ctx, err); err != nil {
				yield(nil, err)
				return
			}
			sent = resumed(request, exchange.resumption)
		}
	}
}

// try makes one try and hands out its events. The error is nil when the stream came to its end, or the caller left the loop.
func try[Request, Response any, Pointer response[Response]](
	ctx context.Context, exchange *exchange, request Request, open opener[Request, Response], yield func(Event, error) bool,
) error {
	stream, err := open(ctx, request)
	if err != nil {
		return errorOf(ctx, err, nil, nil)
	}
	exchange.begin()
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			completed, err := exchange.finish()
			if err == nil {
				yield(completed, nil)
			}
			return err
		}
		if err != nil {
			header, _ := stream.Header() // its error is the one at hand
			return errorOf(ctx, err, stream.Trailer(), header)
		}
		event, err := exchange.receive(Pointer(message).GetEvent())
		if err != nil {
			return err
		}
		if event != nil && !yield(event, nil) {
			return nil
		}
	}
}
