package kandinsky_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/proto"

	kandinsky "github.com/kandinsky-grpc/kandinsky-grpc/clients/go"
	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// Makes an embedding of a prompt, and images of the embedding.
func Example() {
	client, err := kandinsky.New(os.Getenv("KANDINSKY_TARGET"), kandinsky.WithTimeout(time.Minute))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()

	circle, err := client.Prior(ctx, &kandinskyapiv1.PriorRequest{
		Prompts:  []string{"a large red circle on a blue background"},
		Sampling: &kandinskyapiv1.PriorSampling{Seed: proto.Int64(7)},
	})
	if err != nil {
		log.Fatal(err)
	}
	images, err := client.Decode(ctx, &kandinskyapiv1.DecodeRequest{
		Embeddings: circle.Embeddings().Messages(),
		Sampling:   &kandinskyapiv1.Sampling{Seed: proto.Int64(7), StepCount: proto.Int32(50)},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, image := range images.Results {
		fmt.Println(image.Format, image.WidthPx, "x", image.HeightPx, "seed", image.Receipt.Seed)
	}
	// Output: IMAGE_FORMAT_PNG 64 x 32 seed 7
}

// Tells what happens as it happens. Leaving the loop would cancel the call.
func ExampleClient_GenerateStream() {
	client, err := kandinsky.New(os.Getenv("KANDINSKY_TARGET"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	events := client.GenerateStream(context.Background(), &kandinskyapiv1.GenerateRequest{Prompts: []string{"a green ball"}})
	for event, err := range events {
		if err != nil {
			log.Fatal(err)
		}
		switch event := event.(type) {
		case kandinsky.Queued:
			fmt.Println("queued with seed", event.Seed)
		case kandinsky.Progress:
			fmt.Printf("%s: step %d of %d\n", event.Stage, event.Step, event.StepCount)
		case *kandinsky.ImageResult:
			fmt.Println(len(event.Data), "bytes")
		}
	}
	// Output:
	// queued with seed 7
	// prior: step 1 of 10
	// 7 bytes
}

// Looks at why a call failed.
func ExampleError() {
	client, err := kandinsky.New("localhost:1", kandinsky.WithRetries(0))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	_, err = client.Info(context.Background())
	var failed *kandinsky.Error
	if errors.As(err, &failed) {
		_, advised := failed.RetryDelay()
		fmt.Println(failed.Code, failed.Reason == kandinsky.ReasonQueueFull, advised)
	}
	// Output: Unavailable false false
}

// Keeps an embedding in a file that diffusers and every other client can read.
func ExampleEmbeddings_Save() {
	folder, err := os.MkdirTemp("", "kandinsky")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)

	pair := kandinsky.EmbeddingPair{EmbeddingPair: &kandinskyapiv1.EmbeddingPair{
		Positive: kandinsky.NewEmbedding([]float32{0.25, 0.5}, "fingerprint of the prior"),
	}}
	path := filepath.Join(folder, "embedding.safetensors")
	if err := (kandinsky.Embeddings{pair}).Save(path); err != nil {
		log.Fatal(err)
	}
	loaded, err := kandinsky.LoadEmbeddings(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(kandinsky.Values(loaded[0].Positive))
	// Output: [0.25 0.5] <nil>
}
