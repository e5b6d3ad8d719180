// Command cancel starts a long generate and cancels it at the first preview.
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
	client, err := kandinsky.New(cmp.Or(os.Getenv("KANDINSKY_TARGET"), "localhost:50051"))
	if err != nil {
		return err
	}
	defer client.Close()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	step := int32(0)
	events := client.GenerateStream(ctx, &kandinskyapiv1.GenerateRequest{
		Prompts: []string{"a green ball"},
		Sampling: &kandinskyapiv1.Sampling{
			Seed: proto.Int64(7), StepCount: proto.Int32(100), WidthPx: proto.Int32(64), HeightPx: proto.Int32(64),
		},
		Options: &kandinskyapiv1.RequestOptions{PreviewIntervalSteps: 3},
	})
	for event, err := range events {
		if errors.Is(err, context.Canceled) {
			fmt.Printf("cancelled after step %d\n", step)
			return nil
		}
		if err != nil {
			return err
		}
		if preview, is := event.(kandinsky.Preview); is && ctx.Err() == nil {
			step = preview.Step
			cancel() // the server stops within one step; leaving the loop would do as well
		}
	}
	return errors.New("the call ended before it was cancelled")
}
