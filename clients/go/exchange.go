package kandinsky

import (
	"context"
	"errors"

	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// exchange is one streaming call over all its tries: which events its messages make, and whether to try again.
type exchange struct {
	*assembly
	client     *Client
	patience   patience
	resumption *resumption
}

func newExchange(c *Client, options *kandinskyapiv1.RequestOptions) *exchange {
	return &exchange{newAssembly(), c, patience{retries: c.retries}, newResumption(options)}
}

// receive returns the event that one message completes, or nil, also for a result that came before. Errors wrap ErrIncompleteStream.
func (e *exchange) receive(message *kandinskyapiv1.Event) (Event, error) {
	event, err := e.assembly.receive(message)
	if err != nil || !e.resumption.receive(message, event) {
		return nil, err
	}
	return event, nil
}

// finish returns the end of a stream that ended with status OK, its counts over all tries. Errors wrap ErrIncompleteStream.
func (e *exchange) finish() (Event, error) {
	completed, err := e.assembly.finish()
	if err != nil {
		return nil, err
	}
	all := e.resumption.delivered
	completed.EmbeddingCount, completed.ImageCount = all.embeddings, all.images
	return Completed{completed}, nil
}

// wait returns nil after the time to wait before the next try, or the error that ends the call, where another try cannot help.
//
// What was handed out is left out of the next try.
func (e *exchange) wait(ctx context.Context, err error) error {
	r := e.resumption
	failed := (*Error)(nil)
	if !errors.As(err, &failed) {
		return err
	}
	if r.forget(failed) {
		return nil
	}
	if r.progressed {
		e.patience.tried, r.progressed = 0, false
	}
	if failed := e.client.wait(ctx, &e.patience, failed); failed != nil {
		return failed
	}
	return nil
}
