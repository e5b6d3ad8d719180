// Command interpolate goes from one prompt to another in five steps, with one request, and decodes each.
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

	path, err := client.Interpolate(ctx, &kandinskyapiv1.InterpolateRequest{
		Conditions: []*kandinskyapiv1.Condition{
			{Kind: &kandinskyapiv1.Condition_Text{Text: "a red cube"}},
			{Kind: &kandinskyapiv1.Condition_Text{Text: "a blue ball"}},
		},
		Weights: []*kandinskyapiv1.Weights{
			{Values: []float64{1, 0}},
			{Values: []float64{0.75, 0.25}},
			{Values: []float64{0.5, 0.5}},
			{Values: []float64{0.25, 0.75}},
			{Values: []float64{0, 1}},
		},
		Sampling: &kandinskyapiv1.PriorSampling{Seed: proto.Int64(7)},
	})
	if err != nil {
		return err
	}
	for place, pair := range path.Embeddings() {
		images, err := client.Decode(ctx, &kandinskyapiv1.DecodeRequest{
			Embeddings: kandinsky.Embeddings{pair}.Messages(),
			Sampling: &kandinskyapiv1.Sampling{
				Seed: proto.Int64(7), StepCount: proto.Int32(10), WidthPx: proto.Int32(64), HeightPx: proto.Int32(64),
			},
		})
		if err != nil {
			return err
		}
		if err := os.WriteFile(fmt.Sprintf("path-%d.png", place+1), images.Results[0].Data, 0o666); err != nil {
			return err
		}
	}
	return nil
}
