package kandinsky_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	kandinsky "github.com/kandinsky-grpc/kandinsky-grpc/clients/go"
	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

func TestWhatIsTriedAgain(t *testing.T) {
	soon := time.Millisecond
	for name, test := range map[string]struct {
		refused answer
		tries   int
	}{
		"draining":               {script(refusal(codes.Unavailable, kandinsky.ReasonDraining, soon)), 2},
		"draining, after queued": {script(refusal(codes.Unavailable, kandinsky.ReasonDraining, soon), queued(1), progress(1)), 2},
		"unavailable, no reason": {script(status.Error(codes.Unavailable, "gone")), 2},
		"half an image":          {script(refusal(codes.Unavailable, kandinsky.ReasonDraining, soon), header(0, 4, 2, ""), chunk(0, 0, "ab")), 2},
		"queue full":             {script(refusal(codes.ResourceExhausted, kandinsky.ReasonQueueFull, soon)), 2},
		"no advice":              {script(refusal(codes.ResourceExhausted, kandinsky.ReasonMessageTooLong, 0)), 1},
		"deadline unreachable":   {script(refusal(codes.ResourceExhausted, kandinsky.ReasonDeadlineUnreachable, soon)), 1},
		"internal":               {script(refusal(codes.Internal, kandinsky.ReasonInternal, 0)), 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := &fakeServer{answers: []answer{test.refused, usual}}
			_, err := kinds(generate(server.start(t)))
			tries := server.seen()
			if len(tries) != test.tries || (err == nil) != (test.tries == 2) {
				t.Errorf("tried %d times, %v", len(tries), err)
			}
			if len(tries) == 2 && !proto.Equal(tries[0].request, tries[1].request) {
				t.Errorf("another request: %v", tries)
			}
		})
	}
}

func TestRetriesAreCounted(t *testing.T) {
	for _, most := range []int{0, 3} {
		server := &fakeServer{answers: []answer{script(refusal(codes.Unavailable, kandinsky.ReasonStarting, time.Millisecond))}}
		client := server.start(t, kandinsky.WithRetries(most))
		_, err := client.Decode(context.Background(), &kandinskyapiv1.DecodeRequest{})
		var failed *kandinsky.Error
		if !errors.As(err, &failed) || failed.Reason != kandinsky.ReasonStarting || len(server.seen()) != most+1 {
			t.Errorf("tried %d times, %v", len(server.seen()), err)
		}
	}
}

func TestUnaryCallsAreTriedAgain(t *testing.T) {
	server := &fakeServer{answers: []answer{script(refusal(codes.Unavailable, kandinsky.ReasonStarting, time.Millisecond)), usual}}
	info, err := server.start(t).Info(context.Background())
	if err != nil || info.Model != "fake" || len(server.seen()) != 2 {
		t.Errorf("got %v, %v", info, err)
	}
}

func TestNoRetryReachesPastTheDeadline(t *testing.T) {
	server := &fakeServer{answers: []answer{script(refusal(codes.Unavailable, kandinsky.ReasonDraining, time.Hour))}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := server.start(t).Decode(ctx, &kandinskyapiv1.DecodeRequest{})
	var failed *kandinsky.Error
	if !errors.As(err, &failed) || failed.Reason != kandinsky.ReasonDraining || ctx.Err() != nil {
		t.Errorf("got %v", err)
	}
}

func TestWaitingEndsWithTheContextAndTheClient(t *testing.T) {
	for name, end := range map[string]func(client *kandinsky.Client, cancel func()){
		"context": func(_ *kandinsky.Client, cancel func()) { cancel() },
		"client":  func(client *kandinsky.Client, _ func()) { client.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			server := &fakeServer{answers: []answer{script(refusal(codes.Unavailable, kandinsky.ReasonDraining, time.Hour), queued(1))}}
			client := server.start(t)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			for event, err := range client.DecodeStream(ctx, &kandinskyapiv1.DecodeRequest{}) {
				if event != nil {
					time.AfterFunc(50*time.Millisecond, func() { end(client, cancel) })
					continue
				}
				var failed *kandinsky.Error
				if !errors.As(err, &failed) || failed.Code != codes.Canceled {
					t.Errorf("got %v", err)
				}
				if errors.Is(err, context.Canceled) != (name == "context") {
					t.Errorf("%s: %v wraps %v", name, err, errors.Unwrap(err))
				}
			}
		})
	}
}

func TestTheDeadlineIsOneForAllTries(t *testing.T) {
	server := &fakeServer{answers: []answer{
		script(refusal(codes.Unavailable, kandinsky.ReasonDraining, time.Second)),
		func(ctx context.Context, _ proto.Message, _ func(*kandinskyapiv1.Event) error) error {
			<-ctx.Done()
			return status.FromContextError(ctx.Err()).Err()
		},
	}}
	client := server.start(t, kandinsky.WithTimeout(3*time.Second))
	_, err := client.Decode(context.Background(), &kandinskyapiv1.DecodeRequest{})
	var failed *kandinsky.Error
	if !errors.As(err, &failed) || failed.Code != codes.DeadlineExceeded || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	tries := server.seen()
	if len(tries) != 2 || tries[1].deadline.Sub(tries[0].deadline).Abs() > time.Second/2 {
		t.Errorf("tried with other deadlines: %v", tries)
	}
}
