package kandinsky_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	kandinsky "github.com/kandinsky-grpc/kandinsky-grpc/clients/go"
	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// TestMain gives the examples a server, and fails where a goroutine is left behind.
func TestMain(m *testing.M) {
	server := &fakeServer{}
	address, stop, err := server.serve()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv("KANDINSKY_TARGET", address)
	code := m.Run()
	stop()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// answer is what a fake server does for one try of a call: it sends events and returns a status.
type answer func(ctx context.Context, request proto.Message, send func(*kandinskyapiv1.Event) error) error

// fakeServer speaks the contract. Its tries are answered by `answers` in turn, the last one for all that follow; without answers it
// does what a real server would.
type fakeServer struct {
	kandinskyapiv1.UnimplementedPriorServiceServer
	kandinskyapiv1.UnimplementedImageServiceServer
	kandinskyapiv1.UnimplementedServerServiceServer
	answers []answer

	mutex sync.Mutex
	tries []try
}

// try is what came with one try of a call.
type try struct {
	request  proto.Message
	metadata metadata.MD
	deadline time.Time // zero: none
}

// start serves until the test ends, and returns a client with these options.
func (s *fakeServer) start(t *testing.T, options ...kandinsky.Option) *kandinsky.Client {
	t.Helper()
	address, stop, err := s.serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return connect(t, address, options...)
}

func connect(t *testing.T, address string, options ...kandinsky.Option) *kandinsky.Client {
	t.Helper()
	client, err := kandinsky.New(address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func (s *fakeServer) serve(options ...grpc.ServerOption) (address string, stop func(), _ error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := grpc.NewServer(options...)
	kandinskyapiv1.RegisterPriorServiceServer(server, s)
	kandinskyapiv1.RegisterImageServiceServer(server, s)
	kandinskyapiv1.RegisterServerServiceServer(server, s)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(listener)
	return listener.Addr().String(), server.Stop, nil
}

// seen returns the tries that came.
func (s *fakeServer) seen() []try {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.tries)
}

func (s *fakeServer) answer(ctx context.Context, request proto.Message, send func(*kandinskyapiv1.Event) error) error {
	do := usual
	if count := len(s.seen()); len(s.answers) > 0 {
		do = s.answers[min(count, len(s.answers)-1)]
	}
	md, _ := metadata.FromIncomingContext(ctx)
	deadline, _ := ctx.Deadline()
	s.mutex.Lock()
	s.tries = append(s.tries, try{request, md, deadline})
	s.mutex.Unlock()
	return do(ctx, request, send)
}

func (s *fakeServer) Prior(request *kandinskyapiv1.PriorRequest, stream grpc.ServerStreamingServer[kandinskyapiv1.PriorResponse]) error {
	return s.answer(stream.Context(), request, func(event *kandinskyapiv1.Event) error {
		return stream.Send(&kandinskyapiv1.PriorResponse{Event: event})
	})
}

func (s *fakeServer) Interpolate(request *kandinskyapiv1.InterpolateRequest, stream grpc.ServerStreamingServer[kandinskyapiv1.InterpolateResponse]) error {
	return s.answer(stream.Context(), request, func(event *kandinskyapiv1.Event) error {
		return stream.Send(&kandinskyapiv1.InterpolateResponse{Event: event})
	})
}

func (s *fakeServer) Decode(request *kandinskyapiv1.DecodeRequest, stream grpc.ServerStreamingServer[kandinskyapiv1.DecodeResponse]) error {
	return s.answer(stream.Context(), request, func(event *kandinskyapiv1.Event) error {
		return stream.Send(&kandinskyapiv1.DecodeResponse{Event: event})
	})
}

func (s *fakeServer) Generate(request *kandinskyapiv1.GenerateRequest, stream grpc.ServerStreamingServer[kandinskyapiv1.GenerateResponse]) error {
	return s.answer(stream.Context(), request, func(event *kandinskyapiv1.Event) error {
		return stream.Send(&kandinskyapiv1.GenerateResponse{Event: event})
	})
}

func (s *fakeServer) Img2Img(request *kandinskyapiv1.Img2ImgRequest, stream grpc.ServerStreamingServer[kandinskyapiv1.Img2ImgResponse]) error {
	return s.answer(stream.Context(), request, func(event *kandinskyapiv1.Event) error {
		return stream.Send(&kandinskyapiv1.Img2ImgResponse{Event: event})
	})
}

func (s *fakeServer) Inpaint(request *kandinskyapiv1.InpaintRequest, stream grpc.ServerStreamingServer[kandinskyapiv1.InpaintResponse]) error {
	return s.answer(stream.Context(), request, func(event *kandinskyapiv1.Event) error {
		return stream.Send(&kandinskyapiv1.InpaintResponse{Event: event})
	})
}

func (s *fakeServer) ControlNet(request *kandinskyapiv1.ControlNetRequest, stream grpc.ServerStreamingServer[kandinskyapiv1.ControlNetResponse]) error {
	return s.answer(stream.Context(), request, func(event *kandinskyapiv1.Event) error {
		return stream.Send(&kandinskyapiv1.ControlNetResponse{Event: event})
	})
}

func (s *fakeServer) GetServerInfo(ctx context.Context, request *kandinskyapiv1.GetServerInfoRequest) (*kandinskyapiv1.GetServerInfoResponse, error) {
	err := s.answer(ctx, request, func(*kandinskyapiv1.Event) error { return nil })
	return &kandinskyapiv1.GetServerInfoResponse{Model: "fake"}, err
}

func (s *fakeServer) Estimate(ctx context.Context, request *kandinskyapiv1.EstimateRequest) (*kandinskyapiv1.EstimateResponse, error) {
	err := s.answer(ctx, request, func(*kandinskyapiv1.Event) error { return nil })
	return &kandinskyapiv1.EstimateResponse{StepCount: 10}, err
}

// usual makes one embedding for prompts, then one image for everything that asks for images.
func usual(_ context.Context, request proto.Message, send func(*kandinskyapiv1.Event) error) error {
	embeddings, images := 1, 1
	switch request.(type) {
	case *kandinskyapiv1.PriorRequest, *kandinskyapiv1.InterpolateRequest:
		images = 0
	case *kandinskyapiv1.GenerateRequest:
	default:
		embeddings = 0
	}
	events := []*kandinskyapiv1.Event{queued(7), progress(1)}
	if embeddings > 0 {
		events = append(events, embedding(0))
	}
	if images > 0 {
		events = append(events, image(0, "picture"))
	}
	return sendAll(send, append(events, completed(embeddings, images))...)
}

// script sends events, then answers with a status.
func script(err error, events ...*kandinskyapiv1.Event) answer {
	return func(_ context.Context, _ proto.Message, send func(*kandinskyapiv1.Event) error) error {
		if failed := sendAll(send, events...); failed != nil {
			return failed
		}
		return err
	}
}

// thenWait sends events, then waits for the client to go away and closes gone.
func thenWait(gone chan<- struct{}, events ...*kandinskyapiv1.Event) answer {
	return func(ctx context.Context, _ proto.Message, send func(*kandinskyapiv1.Event) error) error {
		if err := sendAll(send, events...); err != nil {
			return err
		}
		<-ctx.Done()
		close(gone)
		return status.FromContextError(ctx.Err()).Err()
	}
}

func sendAll(send func(*kandinskyapiv1.Event) error, events ...*kandinskyapiv1.Event) error {
	for _, event := range events {
		if err := send(event); err != nil {
			return err
		}
	}
	return nil
}

func queued(seed int64) *kandinskyapiv1.Event {
	return &kandinskyapiv1.Event{Kind: &kandinskyapiv1.Event_Queued{Queued: &kandinskyapiv1.Queued{Seed: seed, RequestId: "queued-1"}}}
}

func progress(step int32) *kandinskyapiv1.Event {
	return &kandinskyapiv1.Event{Kind: &kandinskyapiv1.Event_Progress{Progress: &kandinskyapiv1.Progress{Stage: "prior", Step: step, StepCount: 10}}}
}

func preview(step int32) *kandinskyapiv1.Event {
	return &kandinskyapiv1.Event{Kind: &kandinskyapiv1.Event_Preview{Preview: &kandinskyapiv1.Preview{Step: step, StepCount: 10, Data: []byte("small")}}}
}

func embedding(index int32) *kandinskyapiv1.Event {
	values := kandinsky.NewEmbedding([]float32{float32(index), 0.5}, "prior-1")
	return &kandinskyapiv1.Event{Kind: &kandinskyapiv1.Event_Embedding{Embedding: &kandinskyapiv1.EmbeddingResult{
		Index: index, SourceIndex: index,
		Embeddings: &kandinskyapiv1.EmbeddingPair{Positive: values, Negative: values},
		Receipt:    &kandinskyapiv1.Receipt{Rpc: "Prior", Seed: 7 + int64(index)},
	}}}
}

func image(index int32, data string) *kandinskyapiv1.Event {
	return header(index, int64(len(data)), 0, data)
}

func header(index int32, size int64, chunks int32, data string) *kandinskyapiv1.Event {
	return &kandinskyapiv1.Event{Kind: &kandinskyapiv1.Event_Image{Image: &kandinskyapiv1.ImageResult{
		Index: index, Format: kandinskyapiv1.ImageFormat_IMAGE_FORMAT_PNG, WidthPx: 64, HeightPx: 32,
		SizeBytes: size, ChunkCount: chunks, Data: []byte(data), Receipt: &kandinskyapiv1.Receipt{Seed: 7},
	}}}
}

func chunk(index int32, offset int64, data string) *kandinskyapiv1.Event {
	return &kandinskyapiv1.Event{Kind: &kandinskyapiv1.Event_Chunk{Chunk: &kandinskyapiv1.ImageChunk{
		Index: index, OffsetBytes: offset, Data: []byte(data),
	}}}
}

func completed(embeddings, images int) *kandinskyapiv1.Event {
	return &kandinskyapiv1.Event{Kind: &kandinskyapiv1.Event_Completed{Completed: &kandinskyapiv1.Completed{
		EmbeddingCount: int32(embeddings), ImageCount: int32(images), Seed: 7,
	}}}
}

// refusal is a status with the server's details.
func refusal(code codes.Code, reason kandinsky.Reason, retry time.Duration) error {
	said := []protoadapt.MessageV1{&errdetails.ErrorInfo{
		Domain: "kandinsky-grpc.github.io", Reason: string(reason), Metadata: map[string]string{"queue_size": "4"},
	}}
	if retry > 0 {
		said = append(said, &errdetails.RetryInfo{RetryDelay: durationpb.New(retry)})
	}
	st, err := status.New(code, "no").WithDetails(said...)
	if err != nil {
		panic(err)
	}
	return st.Err()
}
