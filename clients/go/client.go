package kandinsky

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// Client calls one server. It may be used by several goroutines at once. Close it when done.
type Client struct {
	conn     *grpc.ClientConn
	prior    kandinskyapiv1.PriorServiceClient
	image    kandinskyapiv1.ImageServiceClient
	server   kandinskyapiv1.ServerServiceClient
	health   grpc_health_v1.HealthClient
	timeout  time.Duration // 0: none
	retries  int
	priority kandinskyapiv1.Priority
	closing  context.Context // done once Close was called
	close    context.CancelFunc
}

// New returns a client of the server at target, such as "localhost:50051" or "dns:///kandinsky.prod:443". It does not wait
// for the server: the first call connects.
//
// The connection is not encrypted unless [WithTLS] is given. Errors wrap [ErrArgument].
func New(target string, options ...Option) (*Client, error) {
	settings, err := settingsOf(target, options)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(target, settings.dialOptions()...)
	if err != nil {
		return nil, argumentError("target %q: %v", target, err)
	}
	closing, closeCalls := context.WithCancel(context.Background())
	return &Client{
		conn:     conn,
		prior:    kandinskyapiv1.NewPriorServiceClient(conn),
		image:    kandinskyapiv1.NewImageServiceClient(conn),
		server:   kandinskyapiv1.NewServerServiceClient(conn),
		health:   grpc_health_v1.NewHealthClient(conn),
		timeout:  settings.timeout,
		retries:  settings.retries,
		priority: settings.priority,
		closing:  closing,
		close:    closeCalls,
	}, nil
}

// Close cancels the calls that still run, which end with an [*Error] of code Canceled, and closes the connection.
func (c *Client) Close() error {
	c.close()
	return c.conn.Close()
}

// begin returns the context that a call and all its tries run in: with the client's timeout where ctx has no deadline of
// its own. The call must call cancel when it ends.
func (c *Client) begin(ctx context.Context) (_ context.Context, cancel context.CancelFunc) {
	if _, has := ctx.Deadline(); !has && c.timeout > 0 {
		return context.WithTimeout(ctx, c.timeout)
	}
	return context.WithCancel(ctx)
}
