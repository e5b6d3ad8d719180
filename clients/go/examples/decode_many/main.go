// Command decode_many makes one embedding, keeps it, and decodes it four times with other seeds.
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

	cube, err := client.Prior(ctx, &kandinskyapiv1.PriorRequest{
		Prompts:  []string{"a red cube on a blue table"},
		Sampling: &kandinskyapiv1.PriorSampling{Seed: proto.Int64(7)},
	})
	if err != nil {
		return err
	}
	if err := cube.Embeddings().Save("embedding.safetensors"); err != nil {
		return err
	}
	for seed := int64(1); seed <= 4; seed++ {
		images, err := client.Decode(ctx, &kandinskyapiv1.DecodeRequest{
			Embeddings: cube.Embeddings().Messages(),
			Sampling: &kandinskyapiv1.Sampling{
				Seed: proto.Int64(seed), StepCount: proto.Int32(10), WidthPx: proto.Int32(64), HeightPx: proto.Int32(64),
			},
		})
		if err != nil {
			return err
		}
		if err := os.WriteFile(fmt.Sprintf("decoded-%d.png", seed), images.Results[0].Data, 0o666); err != nil {
			return err
		}
	}
	return nil
}
