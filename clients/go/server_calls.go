package kandinsky

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// healthTimeout bounds a health check that neither its context nor the client does: no answer is an answer too.
const healthTimeout = 5 * time.Second

// Info returns the server's stages, limits, defaults and backends.
func (c *Client) Info(ctx context.Context) (*kandinskyapiv1.GetServerInfoResponse, error) {
	return ask(ctx, c, &kandinskyapiv1.GetServerInfoRequest{}, c.server.GetServerInfo, c.retries)
}

// Estimate predicts how a request would fare if it came now. It is checked as if it were real.
func (c *Client) Estimate(ctx context.Context, request *kandinskyapiv1.EstimateRequest) (*kandinskyapiv1.EstimateResponse, error) {
	return ask(ctx, c, filledEstimate(c, request), c.server.Estimate, c.retries)
}

// Health returns the health of the server, or of one service such as "kandinsky_api.v1.ImageService", or an [*Error] of code
// NotFound where it has no such service. There is no second try, and the timeout is 5 seconds where there is none.
func (c *Client) Health(ctx context.Context, service string) (grpc_health_v1.HealthCheckResponse_ServingStatus, error) {
	if _, has := ctx.Deadline(); !has && c.timeout == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, healthTimeout)
		defer cancel()
	}
	answer, err := ask(ctx, c, &grpc_health_v1.HealthCheckRequest{Service: service}, c.health.Check, 0)
	return answer.GetStatus(), err
}

// ask makes a unary call, over all its tries.
func ask[Request, Response any](
	ctx context.Context, c *Client, request *Request,
	method func(context.Context, *Request, ...grpc.CallOption) (*Response, error), retries int,
) (*Response, error) {
	ctx, cancel := c.begin(ctx)
	defer cancel()
	patience := patience{retries: retries}
	for {
		var header, trailer metadata.MD
		answer, err := method(ctx, request, grpc.Header(&header), grpc.Trailer(&trailer))
		if err == nil {
			return answer, nil
		}
		if failed := c.wait(ctx, &patience, errorOf(ctx, err, trailer, header)); failed != nil {
			return nil, failed
		}
	}
}

// filledEstimate fills the request in question as a call with it would.
func filledEstimate(c *Client, request *kandinskyapiv1.EstimateRequest) *kandinskyapiv1.EstimateRequest {
	message := shallow(request.ProtoReflect())
	asked := message.WhichOneof(message.Descriptor().Oneofs().ByName("request"))
	if asked != nil {
		inner := filled(c, message.Get(asked).Message().Interface().(streamRequest))
		message.Set(asked, protoreflect.ValueOfMessage(inner.ProtoReflect()))
	}
	return message.Interface().(*kandinskyapiv1.EstimateRequest)
}
