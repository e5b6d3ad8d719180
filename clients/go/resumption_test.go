package kandinsky_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	kandinsky "github.com/kandinsky-grpc/kandinsky-grpc/clients/go"
	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

var gone = refusal(codes.Unavailable, kandinsky.ReasonDraining, time.Millisecond)

func checkpoint(stage string, index, step int32) *kandinskyapiv1.Event {
	return &kandinskyapiv1.Event{Kind: &kandinskyapiv1.Event_Checkpoint{Checkpoint: &kandinskyapiv1.Checkpoint{
		Version: 1, Stage: stage, Index: index, Step: step, Latents: []byte{byte(step)},
	}}}
}

// asking asks for checkpoints.
func asking() *kandinskyapiv1.GenerateRequest {
	return &kandinskyapiv1.GenerateRequest{
		Prompts: []string{"a cat"},
		Options: &kandinskyapiv1.RequestOptions{CheckpointIntervalSteps: 5},
	}
}

// resumes returns what each try was asked to go on from.
func resumes(server *fakeServer) (all []*kandinskyapiv1.Resume) {
	for _, try := range server.seen() {
		all = append(all, try.request.(*kandinskyapiv1.GenerateRequest).GetOptions().GetResume())
	}
	return all
}

func wantResumes(t *testing.T, server *fakeServer, want ...*kandinskyapiv1.Resume) {
	t.Helper()
	equal := func(a, b *kandinskyapiv1.Resume) bool { return proto.Equal(a, b) && (a == nil) == (b == nil) }
	if got := resumes(server); !slices.EqualFunc(got, want, equal) {
		t.Errorf("went on from %v, not %v", got, want)
	}
}

func TestABrokenCallGoesOnFromTheNewestCheckpoints(t *testing.T) {
	server := &fakeServer{answers: []answer{
		script(gone, queued(7), checkpoint("decoder", 0, 5), checkpoint("decoder", 1, 5), checkpoint("prior", 0, 5), checkpoint("decoder", 0, 10)),
		script(gone, queued(7), checkpoint("decoder", 1, 10)),
		script(nil, image(0, "a"), image(1, "b"), completed(0, 2)),
	}}
	request := asking()
	told, err := kinds(server.start(t).GenerateStream(context.Background(), request))
	want := []string{"kandinsky.Queued", "kandinsky.Queued", "*kandinsky.ImageResult", "*kandinsky.ImageResult", "kandinsky.Completed"}
	if err != nil || !slices.Equal(told, want) {
		t.Errorf("got %v, %v", told, err)
	}
	of := func(event *kandinskyapiv1.Event) *kandinskyapiv1.Checkpoint { return event.GetCheckpoint() }
	wantResumes(t, server, nil,
		&kandinskyapiv1.Resume{Checkpoints: []*kandinskyapiv1.Checkpoint{
			of(checkpoint("decoder", 0, 10)), of(checkpoint("decoder", 1, 5)), of(checkpoint("prior", 0, 5)),
		}},
		&kandinskyapiv1.Resume{Checkpoints: []*kandinskyapiv1.Checkpoint{
			of(checkpoint("decoder", 0, 10)), of(checkpoint("decoder", 1, 10)), of(checkpoint("prior", 0, 5)),
		}})
	if !proto.Equal(request, asking()) {
		t.Errorf("the caller's request has become %v", request)
	}
	seeds := map[int64]bool{}
	for _, try := range server.seen() {
		seeds[try.request.(*kandinskyapiv1.GenerateRequest).GetSampling().GetSeed()] = true
	}
	if len(seeds) != 1 {
		t.Errorf("sent with the seeds %v", seeds)
	}
}

func TestDeliveredResultsAreLeftOutOfTheNextTry(t *testing.T) {
	server := &fakeServer{answers: []answer{
		script(gone, embedding(0), embedding(1), image(1, "b"), header(0, 4, 2, ""), chunk(0, 0, "ab")),
		script(nil, image(0, "abcd"), completed(0, 1)),
	}}
	set, err := server.start(t).Generate(context.Background(), asking())
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Embeddings) != 2 || len(set.Results) != 2 || string(set.Results[0].Data) != "abcd" || string(set.Results[1].Data) != "b" {
		t.Errorf("got %+v", set)
	}
	if set.Completed.EmbeddingCount != 2 || set.Completed.ImageCount != 2 {
		t.Errorf("counted %v", set.Completed)
	}
	for place, result := range set.Results {
		if result.Embedding == nil || !proto.Equal(result.Embedding.EmbeddingPair, embedding(int32(place)).GetEmbedding().GetEmbeddings()) {
			t.Errorf("image %d is of the embedding %v", place, result.Embedding)
		}
	}
	wantResumes(t, server, nil, &kandinskyapiv1.Resume{
		Embeddings: []*kandinskyapiv1.DeliveredEmbedding{
			{Index: 0, Embeddings: embedding(0).GetEmbedding().GetEmbeddings()},
			{Index: 1, Embeddings: embedding(1).GetEmbedding().GetEmbeddings()},
		},
		ImageIndices: []int32{1},
	})
}

func TestDeliveredResultsAreLeftOutWhereNoCheckpointsAreAskedFor(t *testing.T) {
	made := image(1, "b")
	made.GetImage().Receipt = &kandinskyapiv1.Receipt{Stage: "decoder", Fingerprint: "2f"}
	server := &fakeServer{answers: []answer{script(gone, made), script(nil, image(0, "a"), completed(0, 1))}}
	set, err := server.start(t).Generate(context.Background(), &kandinskyapiv1.GenerateRequest{Prompts: []string{"a cat"}})
	if err != nil || len(set.Results) != 2 {
		t.Fatalf("got %+v, %v", set, err)
	}
	wantResumes(t, server, nil, &kandinskyapiv1.Resume{ImageIndices: []int32{1}, StageFingerprints: map[string]string{"decoder": "2f"}})
}

func TestAResumedTryCountsItsOwnResults(t *testing.T) {
	server := &fakeServer{answers: []answer{script(gone, image(1, "b")), script(nil, completed(0, 1))}}
	if _, err := kinds(server.start(t).GenerateStream(context.Background(), asking())); !errors.Is(err, kandinsky.ErrIncompleteStream) {
		t.Errorf("got %v", err)
	}
}

func TestAReplicaThatCannotGoOnBeginsAnew(t *testing.T) {
	mismatch := refusal(codes.FailedPrecondition, kandinsky.ReasonFingerprintMismatch, 0)
	for name, test := range map[string]struct {
		refused error
		brought *kandinskyapiv1.Event
		tries   int
	}{
		"another model":                    {mismatch, checkpoint("decoder", 0, 5), 3},
		"another dtype":                    {invalid("options.resume.checkpoints[0].dtype"), checkpoint("decoder", 0, 5), 3},
		"another model, after a result":    {mismatch, embedding(0), 2},
		"another dtype, after a result":    {invalid("options.resume.checkpoints[0].dtype"), image(0, "a"), 2},
		"a field that is not the resume's": {invalid("sampling.step_count"), checkpoint("decoder", 0, 5), 2},
	} {
		t.Run(name, func(t *testing.T) {
			server := &fakeServer{answers: []answer{script(gone, test.brought), script(test.refused), usual}}
			// One retry alone: beginning anew is none.
			_, err := kinds(server.start(t, kandinsky.WithRetries(1)).GenerateStream(context.Background(), asking()))
			all := resumes(server)
			if len(all) != test.tries || (err == nil) != (test.tries == 3) {
				t.Fatalf("tried %d times, %v", len(all), err)
			}
			if all[1] == nil || (len(all) == 3 && all[2] != nil) {
				t.Errorf("went on from %v", all)
			}
		})
	}
}

func TestARefusalOfWhatWasNotResumedEndsTheCall(t *testing.T) {
	server := &fakeServer{answers: []answer{script(refusal(codes.FailedPrecondition, kandinsky.ReasonFingerprintMismatch, 0))}}
	_, err := kinds(server.start(t).GenerateStream(context.Background(), asking()))
	var failed *kandinsky.Error
	if !errors.As(err, &failed) || failed.Reason != kandinsky.ReasonFingerprintMismatch || len(server.seen()) != 1 {
		t.Errorf("tried %d times, %v", len(server.seen()), err)
	}
}

func TestRetriesCountAnewOnceATryBroughtSomething(t *testing.T) {
	server := &fakeServer{answers: []answer{
		script(gone), script(gone, checkpoint("decoder", 0, 5)), script(gone, image(0, "a")), script(gone),
	}}
	_, err := kinds(server.start(t, kandinsky.WithRetries(1)).GenerateStream(context.Background(), asking()))
	var failed *kandinsky.Error
	if !errors.As(err, &failed) || failed.Reason != kandinsky.ReasonDraining || len(server.seen()) != 4 {
		t.Errorf("tried %d times, %v", len(server.seen()), err)
	}
}

func TestWhatTheCallerKeptIsGoneOnFrom(t *testing.T) {
	kept := &kandinskyapiv1.Resume{Checkpoints: []*kandinskyapiv1.Checkpoint{checkpoint("decoder", 1, 5).GetCheckpoint()}, ImageIndices: []int32{0}}
	request := asking()
	request.Options.Resume = proto.CloneOf(kept)
	server := &fakeServer{answers: []answer{
		script(gone, checkpoint("decoder", 1, 10)),
		script(nil, image(1, "b"), completed(0, 1)),
	}}
	if _, err := kinds(server.start(t).GenerateStream(context.Background(), request)); err != nil {
		t.Fatal(err)
	}
	newer := &kandinskyapiv1.Resume{Checkpoints: []*kandinskyapiv1.Checkpoint{checkpoint("decoder", 1, 10).GetCheckpoint()}, ImageIndices: []int32{0}}
	wantResumes(t, server, kept, newer)
	if !proto.Equal(request.Options.Resume, kept) {
		t.Errorf("the caller's has become %v", request.Options.Resume)
	}
}

// invalid is the refusal of one field.
func invalid(field string) error {
	st, err := status.New(codes.InvalidArgument, "no").WithDetails(
		&errdetails.ErrorInfo{Domain: "kandinsky-grpc.github.io", Reason: string(kandinsky.ReasonInvalidField)},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field, Description: "no"}}},
	)
	if err != nil {
		panic(err)
	}
	return st.Err()
}
