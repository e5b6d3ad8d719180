package kandinsky_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	kandinsky "github.com/kandinsky-grpc/kandinsky-grpc/clients/go"
	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// kinds reads a stream: the types of its events and its error.
func kinds(events iter.Seq2[kandinsky.Event, error]) (told []string, _ error) {
	for event, err := range events {
		if err != nil {
			return told, err
		}
		told = append(told, fmt.Sprintf("%T", event))
	}
	return told, nil
}

func generate(client *kandinsky.Client) iter.Seq2[kandinsky.Event, error] {
	return client.GenerateStream(context.Background(), &kandinskyapiv1.GenerateRequest{Prompts: []string{"a cat"}})
}

func TestEventsComeInOrderAndChunksAreJoined(t *testing.T) {
	server := &fakeServer{answers: []answer{script(nil, queued(7), progress(1), preview(3), embedding(0),
		header(0, 6, 2, ""), chunk(0, 0, "abcd"), chunk(0, 4, "ef"), completed(1, 1))}}
	client := server.start(t)
	told, err := kinds(generate(client))
	want := []string{"kandinsky.Queued", "kandinsky.Progress", "kandinsky.Preview", "*kandinsky.EmbeddingResult", "*kandinsky.ImageResult", "kandinsky.Completed"}
	if err != nil || !slices.Equal(told, want) {
		t.Fatalf("got %v, %v", told, err)
	}
	set, err := client.Generate(context.Background(), &kandinskyapiv1.GenerateRequest{})
	if err != nil {
		t.Fatal(err)
	}
	image := set.Results[0]
	if string(image.Data) != "abcdef" || image.WidthPx != 64 || image.HeightPx != 32 || image.Receipt.Seed != 7 {
		t.Errorf("got %+v", image)
	}
	if image.Embedding == nil || image.Embedding.Positive.PriorFingerprint != "prior-1" {
		t.Errorf("the image does not have its embedding, but %v", image.Embedding)
	}
	if set.Completed.Seed != 7 || len(set.Embeddings) != 1 {
		t.Errorf("got %+v", set)
	}
}

func TestResultsAreGatheredByIndex(t *testing.T) {
	server := &fakeServer{answers: []answer{script(nil, embedding(2), embedding(0), embedding(1), completed(3, 0))}}
	set, err := server.start(t).Prior(context.Background(), &kandinskyapiv1.PriorRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for place, pair := range set.Embeddings() {
		values, err := kandinsky.Values(pair.Positive)
		if err != nil || set.Results[place].Index != place || values[0] != float32(place) || pair.Receipt.Seed != int64(7+place) {
			t.Errorf("place %d: %+v %v %v", place, set.Results[place], values, err)
		}
	}
}

func TestWhatIsNewerIsPassedOver(t *testing.T) {
	later := &kandinskyapiv1.Event{}
	later.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 31, protowire.BytesType), []byte{8, 7}))
	picture := image(0, "new")
	picture.GetImage().Format = 77
	server := &fakeServer{answers: []answer{script(nil, queued(7), later, picture, completed(0, 1))}}
	set, err := server.start(t).Decode(context.Background(), &kandinskyapiv1.DecodeRequest{})
	if err != nil || len(set.Results) != 1 || set.Results[0].Format != 77 {
		t.Fatalf("got %+v, %v", set, err)
	}
}

func TestIncompleteStreams(t *testing.T) {
	odd := embedding(0)
	odd.GetEmbedding().Embeddings.Positive.Dtype = 9
	short := embedding(0)
	short.GetEmbedding().Embeddings.Negative.Data = []byte{1, 2}
	nothing := embedding(0)
	nothing.GetEmbedding().Embeddings = nil
	for name, events := range map[string][]*kandinskyapiv1.Event{
		"nothing":             {},
		"no completed":        {image(0, "a")},
		"fewer images":        {image(0, "a"), completed(0, 2)},
		"fewer embeddings":    {embedding(0), completed(2, 0)},
		"an embedding twice":  {embedding(0), embedding(0), completed(2, 0)},
		"missing last chunk":  {header(0, 4, 2, ""), chunk(0, 0, "ab"), completed(0, 1)},
		"missing first chunk": {header(0, 4, 2, ""), chunk(0, 2, "cd"), completed(0, 1)},
		"swapped chunks":      {header(0, 4, 2, ""), chunk(0, 2, "cd"), chunk(0, 0, "ab"), completed(0, 1)},
		"one chunk too many":  {header(0, 4, 2, ""), chunk(0, 0, "ab"), chunk(0, 2, "cd"), chunk(0, 4, "ef"), completed(0, 1)},
		"too few bytes":       {header(0, 5, 2, ""), chunk(0, 0, "ab"), chunk(0, 2, "cd"), completed(0, 1)},
		"too many bytes":      {header(0, 3, 3, ""), chunk(0, 0, "ab"), chunk(0, 2, "cd"), chunk(0, 4, ""), completed(0, 1)},
		"chunk of no image":   {chunk(0, 0, "ab"), completed(0, 0)},
		"short image":         {header(0, 9, 0, "abc"), completed(0, 1)},
		"unknown dtype":       {odd, completed(1, 0)},
		"short embedding":     {short, completed(1, 0)},
		"no embedding":        {nothing, completed(1, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			server := &fakeServer{answers: []answer{script(nil, events...)}}
			_, err := kinds(generate(server.start(t)))
			if !errors.Is(err, kandinsky.ErrIncompleteStream) {
				t.Errorf("got %v", err)
			}
			if tries := len(server.seen()); tries != 1 {
				t.Errorf("tried %d times", tries)
			}
		})
	}
}

func TestLeavingTheLoopCancelsTheCall(t *testing.T) {
	gone := make(chan struct{})
	server := &fakeServer{answers: []answer{thenWait(gone, queued(7), preview(3))}}
	for event := range generate(server.start(t)) {
		if _, is := event.(kandinsky.Preview); is {
			break
		}
	}
	await(t, gone)
}

func TestCancellingTheContextEndsTheCall(t *testing.T) {
	gone := make(chan struct{})
	server := &fakeServer{answers: []answer{thenWait(gone, queued(7))}}
	client := server.start(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var failed *kandinsky.Error
	for _, err := range client.PriorStream(ctx, &kandinskyapiv1.PriorRequest{}) {
		cancel()
		if err != nil && (!errors.As(err, &failed) || !errors.Is(err, context.Canceled) || failed.Code != codes.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	if failed == nil {
		t.Error("the stream ended without an error")
	}
	await(t, gone)
}

func TestClosingTheClientEndsItsCalls(t *testing.T) {
	gone := make(chan struct{})
	client := (&fakeServer{answers: []answer{thenWait(gone, queued(7))}}).start(t)
	var failed *kandinsky.Error
	for event, err := range generate(client) {
		if event != nil {
			client.Close()
		} else if !errors.As(err, &failed) || failed.Code != codes.Canceled {
			t.Errorf("got %v", err)
		}
	}
	await(t, gone)
	if _, err := client.Info(context.Background()); !errors.As(err, &failed) || failed.Code != codes.Canceled {
		t.Errorf("a closed client says %v", err)
	}
}

func TestAStreamCanBeRangedOverAgain(t *testing.T) {
	server := &fakeServer{}
	events := generate(server.start(t))
	for range 2 {
		if told, err := kinds(events); err != nil || len(told) != 5 {
			t.Errorf("got %v, %v", told, err)
		}
	}
	if tries := server.seen(); len(tries) != 2 || !proto.Equal(tries[0].request, tries[1].request) {
		t.Errorf("two different calls: %v", tries)
	}
}

func await(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the server's side of the call goes on")
	}
}
