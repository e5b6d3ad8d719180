// Command previews makes an image from a prompt and shows how it comes about.
package main

import (
	"cmp"
	"context"
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

	events := client.GenerateStream(ctx, &kandinskyapiv1.GenerateRequest{
		Prompts: []string{"a green ball"},
		Sampling: &kandinskyapiv1.Sampling{
			Seed: proto.Int64(7), StepCount: proto.Int32(10), WidthPx: proto.Int32(64), HeightPx: proto.Int32(64),
		},
		Options: &kandinskyapiv1.RequestOptions{PreviewIntervalSteps: 3},
	})
	for event, err := range events {
		if err != nil {
			return err
		}
		switch event := event.(type) {
		case kandinsky.Progress:
			fmt.Printf("%s: step %d of %d\n", event.Stage, event.Step, event.StepCount)
		case kandinsky.Preview:
			err = os.WriteFile(fmt.Sprintf("preview-%d.jpg", event.Step), event.Data, 0o666)
		case *kandinsky.ImageResult:
			err = os.WriteFile("generated.png", event.Data, 0o666)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
