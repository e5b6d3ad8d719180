package kandinsky_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	kandinsky "github.com/kandinsky-grpc/kandinsky-grpc/clients/go"
	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

func TestWhatCannotBeIsRefused(t *testing.T) {
	for name, option := range map[string]kandinsky.Option{
		"no timeout":       kandinsky.WithTimeout(0),
		"negative timeout": kandinsky.WithTimeout(-time.Second),
		"negative retries": kandinsky.WithRetries(-1),
		"token, newline":   kandinsky.WithToken("secret\n"),
		"token, control":   kandinsky.WithToken("se\x01cret"),
		"metadata key":     kandinsky.WithMetadata(map[string]string{"X-Team": "a"}),
		"gRPC's own key":   kandinsky.WithMetadata(map[string]string{"grpc-timeout": "1S"}),
		"metadata value":   kandinsky.WithMetadata(map[string]string{"x-team": "é"}),
	} {
		if client, err := kandinsky.New("localhost:1", option); !errors.Is(err, kandinsky.ErrArgument) || client != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := kandinsky.New("https://localhost:1"); !errors.Is(err, kandinsky.ErrArgument) {
		t.Errorf("a URL: %v", err)
	}
	if _, err := kandinsky.New("\x00"); !errors.Is(err, kandinsky.ErrArgument) {
		t.Errorf("no target: %v", err)
	}
}

func TestWhatEveryCallCarries(t *testing.T) {
	server := &fakeServer{}
	client := server.start(t, kandinsky.WithToken("secret"), kandinsky.WithMetadata(map[string]string{"x-team": "a", "x-raw-bin": "\x00\xff"}))
	ctx := metadata.AppendToOutgoingContext(context.Background(), "traceparent", "00-1-2-01")
	if _, err := client.Prior(ctx, &kandinskyapiv1.PriorRequest{}); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"authorization": "Bearer secret", "x-team": "a", "x-raw-bin": "\x00\xff", "traceparent": "00-1-2-01",
	} {
		if got := server.seen()[0].metadata.Get(key); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q", key, got)
		}
	}
	if agent := server.seen()[0].metadata.Get("user-agent"); len(agent) != 1 || !strings.Contains(agent[0], "kandinsky-client-go/"+kandinsky.Version) {
		t.Errorf("user agent %q", agent)
	}
}

func TestWhichDeadlineACallHas(t *testing.T) {
	soon, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for name, test := range map[string]struct {
		options []kandinsky.Option
		ctx     context.Context
		want    time.Duration // 0: none
	}{
		"none":                        {nil, context.Background(), 0},
		"infinity":                    {[]kandinsky.Option{kandinsky.WithTimeout(math.MaxInt64)}, context.Background(), 0},
		"the client's":                {[]kandinsky.Option{kandinsky.WithTimeout(time.Hour)}, context.Background(), time.Hour},
		"the context's":               {nil, soon, time.Minute},
		"the context's, not client's": {[]kandinsky.Option{kandinsky.WithTimeout(time.Hour)}, soon, time.Minute},
	} {
		server := &fakeServer{}
		if _, err := server.start(t, test.options...).Prior(test.ctx, &kandinskyapiv1.PriorRequest{}); err != nil {
			t.Fatal(err)
		}
		switch deadline := server.seen()[0].deadline; {
		case deadline.IsZero() != (test.want == 0):
			t.Errorf("%s: %v", name, deadline)
		case test.want != 0 && (time.Until(deadline) > test.want || time.Until(deadline) < test.want-20*time.Second):
			t.Errorf("%s: %v", name, time.Until(deadline))
		}
	}
}

func TestWhatIsFilledInWhereItIsUnset(t *testing.T) {
	server := &fakeServer{}
	client := server.start(t, kandinsky.WithPriority(kandinskyapiv1.Priority_PRIORITY_HIGH))
	bare := &kandinskyapiv1.DecodeRequest{Sampling: &kandinskyapiv1.Sampling{StepCount: proto.Int32(3)}}
	before := proto.Clone(bare)
	full := &kandinskyapiv1.DecodeRequest{
		Sampling: &kandinskyapiv1.Sampling{Seed: proto.Int64(math.MaxInt64)},
		Options: &kandinskyapiv1.RequestOptions{
			Priority: kandinskyapiv1.Priority_PRIORITY_LOW, ProgressIntervalSteps: proto.Int32(5),
		},
	}
	for _, request := range []*kandinskyapiv1.DecodeRequest{bare, bare, full, nil} {
		if _, err := client.Decode(context.Background(), request); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kinds(client.DecodeStream(context.Background(), bare)); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(before, bare) {
		t.Errorf("the caller's request became %v", bare)
	}
	sent := make([]*kandinskyapiv1.DecodeRequest, 5)
	for place, try := range server.seen() {
		sent[place] = try.request.(*kandinskyapiv1.DecodeRequest)
	}
	first, second := sent[0].Sampling, sent[1].Sampling
	if first.Seed == nil || *first.Seed == *second.Seed || *first.Seed >= 1<<32 || first.GetStepCount() != 3 {
		t.Errorf("sampling %v, %v", first, second)
	}
	if options := sent[0].Options; options.Priority != kandinskyapiv1.Priority_PRIORITY_HIGH || options.ProgressIntervalSteps == nil || *options.ProgressIntervalSteps != 0 {
		t.Errorf("options of a gathered call: %v", options)
	}
	if !proto.Equal(sent[2], full) {
		t.Errorf("what was set became %v", sent[2])
	}
	if sent[3].Sampling.Seed == nil {
		t.Errorf("no request is sent as %v", sent[3])
	}
	if options := sent[4].Options; options.ProgressIntervalSteps != nil {
		t.Errorf("options of a stream: %v", options)
	}
}

func TestAnEstimateIsFilledAsTheCallWouldBe(t *testing.T) {
	server := &fakeServer{}
	client := server.start(t, kandinsky.WithPriority(kandinskyapiv1.Priority_PRIORITY_LOW))
	request := &kandinskyapiv1.EstimateRequest{Request: &kandinskyapiv1.EstimateRequest_Generate{Generate: &kandinskyapiv1.GenerateRequest{Prompts: []string{"a"}}}}
	estimate, err := client.Estimate(context.Background(), request)
	if err != nil || estimate.StepCount != 10 {
		t.Fatalf("got %v, %v", estimate, err)
	}
	asked := server.seen()[0].request.(*kandinskyapiv1.EstimateRequest).GetGenerate()
	if asked.GetOptions().GetPriority() != kandinskyapiv1.Priority_PRIORITY_LOW || len(asked.Prompts) != 1 || request.GetGenerate().Options != nil {
		t.Errorf("sent %v of %v", asked, request)
	}
	if _, err := client.Estimate(context.Background(), nil); err != nil {
		t.Error(err)
	}
}

func TestEveryCallReachesItsRPC(t *testing.T) {
	server := &fakeServer{}
	client := server.start(t)
	ctx := context.Background()
	for name, call := range map[string]func() (*kandinsky.ImageSet, error){
		"Img2ImgRequest": func() (*kandinsky.ImageSet, error) { return client.Img2Img(ctx, &kandinskyapiv1.Img2ImgRequest{}) },
		"InpaintRequest": func() (*kandinsky.ImageSet, error) { return client.Inpaint(ctx, &kandinskyapiv1.InpaintRequest{}) },
		"ControlNetRequest": func() (*kandinsky.ImageSet, error) {
			return client.ControlNet(ctx, &kandinskyapiv1.ControlNetRequest{})
		},
		"DecodeRequest":   func() (*kandinsky.ImageSet, error) { return client.Decode(ctx, &kandinskyapiv1.DecodeRequest{}) },
		"GenerateRequest": func() (*kandinsky.ImageSet, error) { return client.Generate(ctx, &kandinskyapiv1.GenerateRequest{}) },
	} {
		set, err := call()
		if err != nil || len(set.Results) != 1 {
			t.Fatalf("%s: %v", name, err)
		}
		tries := server.seen()
		if got := tries[len(tries)-1].request.ProtoReflect().Descriptor().Name(); string(got) != name {
			t.Errorf("%s was sent as %s", name, got)
		}
	}
}

func TestEmbedImageAsksForOneConditionOfWeightOne(t *testing.T) {
	server := &fakeServer{}
	result, err := server.start(t).EmbedImage(context.Background(), []byte("PNG"))
	if err != nil || result.Pair.Positive.PriorFingerprint != "prior-1" {
		t.Fatalf("got %v, %v", result, err)
	}
	request := server.seen()[0].request.(*kandinskyapiv1.InterpolateRequest)
	if string(request.Conditions[0].GetImage().GetData()) != "PNG" || len(request.Conditions) != 1 || request.Weights[0].Values[0] != 1 {
		t.Errorf("sent %v", request)
	}
}

func TestHealth(t *testing.T) {
	client := (&fakeServer{}).start(t)
	status, err := client.Health(context.Background(), "")
	if err != nil || status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("got %v, %v", status, err)
	}
	var failed *kandinsky.Error
	if _, err := client.Health(context.Background(), "nobody"); !errors.As(err, &failed) || failed.Code != codes.NotFound {
		t.Errorf("got %v", err)
	}
}

func TestAMessageMayBeLargerThanGRPCsOwnLimit(t *testing.T) {
	large := strings.Repeat("x", 6<<20)
	server := &fakeServer{answers: []answer{script(nil, image(0, large), completed(0, 1))}}
	set, err := server.start(t).Decode(context.Background(), &kandinskyapiv1.DecodeRequest{})
	if err != nil || len(set.Results[0].Data) != len(large) {
		t.Errorf("got %v", err)
	}
}

func TestDialOptionsComeLast(t *testing.T) {
	client := (&fakeServer{}).start(t, kandinsky.WithDialOptions(grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1))))
	var failed *kandinsky.Error
	_, err := client.Decode(context.Background(), &kandinskyapiv1.DecodeRequest{})
	if !errors.As(err, &failed) || failed.Code != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
}
