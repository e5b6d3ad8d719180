package kandinsky

import (
	"maps"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Version is this module's version.
const Version = "0.1.0"

// maxReceiveBytes bounds one message of the server's. By contract they stay near 1 MiB; the room above is for servers with
// other limits, and still bounds what a stray server can make this process hold.
const maxReceiveBytes = 64 << 20

func (s *settings) dialOptions() []grpc.DialOption {
	transport := insecure.NewCredentials()
	if s.tls != nil {
		transport = credentials.NewTLS(s.tls)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent("kandinsky-client-go/" + Version),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceiveBytes)),
		// The client's own retries know the server's reasons; a service config's would multiply them.
		grpc.WithDisableRetry(),
		// A request may wait in the queue without a word for longer than NAT tables and proxies remember.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 60 * time.Second, Timeout: 20 * time.Second}),
		// A restarted server is found again in seconds, not in gRPC's default of up to two minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
			MinConnectTimeout: 10 * time.Second,
		}),
	}
	if metadata := s.callMetadata(); len(metadata) > 0 {
		options = append(options, grpc.WithPerRPCCredentials(metadata))
	}
	return append(options, s.dial...)
}

func (s *settings) callMetadata() callMetadata {
	metadata := callMetadata{}
	maps.Copy(metadata, s.metadata)
	if s.token != "" {
		metadata["authorization"] = "Bearer " + s.token
	}
	return metadata
}
