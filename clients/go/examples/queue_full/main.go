// Command queue_full shows what a client learns when the queue is full.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"google.golang.org/protobuf/proto"

	kandinsky "github.com/kandinsky-grpc/kandinsky-grpc/clients/go"
	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	client, err := kandinsky.New(cmp.Or(os.Getenv("KANDINSKY_TARGET"), "localhost:50051"), kandinsky.WithRetries(0))
	if err != nil {
		return err
	}
	defer client.Close()

	// Any numbers will do: the queue is looked at before they are.
	zeros := kandinsky.NewEmbedding(make([]float32, 1280), "")
	_, err = client.Decode(ctx, &kandinskyapiv1.DecodeRequest{
		Embeddings: []*kandinskyapiv1.EmbeddingPair{{Positive: zeros, Negative: zeros}},
		Sampling: &kandinskyapiv1.Sampling{
			Seed: proto.Int64(7), StepCount: proto.Int32(10), WidthPx: proto.Int32(64), HeightPx: proto.Int32(64),
		},
	})
	var refused *kandinsky.Error
	if !errors.As(err, &refused) || refused.Reason != kandinsky.ReasonQueueFull {
		return fmt.Errorf("expected a full queue, not %v", err)
	}
	delay, _ := refused.RetryDelay()
	fmt.Printf("the queue is full: try again in %.1f s\n", delay.Seconds())
	fmt.Printf("it has room for %s trajectories\n", refused.Metadata["queue_size"])
	return nil
}
