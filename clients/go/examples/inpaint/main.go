// Command inpaint repaints the image of its first argument, where the mask of its second is white.
package main

import (
	"cmp"
	"context"
	"errors"
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

	if len(os.Args) != 3 {
		return errors.New("usage: inpaint IMAGE MASK")
	}
	image, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	mask, err := os.ReadFile(os.Args[2])
	if err != nil {
		return err
	}
	star, err := client.Prior(ctx, &kandinskyapiv1.PriorRequest{
		Prompts:  []string{"a yellow star"},
		Sampling: &kandinskyapiv1.PriorSampling{Seed: proto.Int64(7)},
	})
	if err != nil {
		return err
	}
	images, err := client.Inpaint(ctx, &kandinskyapiv1.InpaintRequest{
		Embeddings: star.Embeddings().Messages(),
		Image:      &kandinskyapiv1.InputImage{Data: image},
		Mask:       &kandinskyapiv1.InputImage{Data: mask},
		Sampling: &kandinskyapiv1.Sampling{
			Seed: proto.Int64(7), StepCount: proto.Int32(10), WidthPx: proto.Int32(64), HeightPx: proto.Int32(64),
		},
	})
	if err != nil {
		return err
	}
	return os.WriteFile("inpainted.png", images.Results[0].Data, 0o666)
}
