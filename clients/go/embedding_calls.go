package kandinsky

import (
	"context"
	"iter"

	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// Prior turns prompts into embeddings.
func (c *Client) Prior(ctx context.Context, request *kandinskyapiv1.PriorRequest) (*EmbeddingSet, error) {
	return embeddingSet(c.PriorStream(ctx, quiet(request)))
}

// PriorStream is [Client.Prior] as it happens. The call begins when the events are ranged over, each time anew, and is cancelled
// when the loop is left.
func (c *Client) PriorStream(ctx context.Context, request *kandinskyapiv1.PriorRequest) iter.Seq2[Event, error] {
	return streamOf(ctx, c, request, c.prior.Prior)
}

// Interpolate mixes texts, images and embeddings by weight, once or along a path.
func (c *Client) Interpolate(ctx context.Context, request *kandinskyapiv1.InterpolateRequest) (*EmbeddingSet, error) {
	return embeddingSet(c.InterpolateStream(ctx, quiet(request)))
}

// InterpolateStream is [Client.Interpolate] as it happens. The call begins when the events are ranged over, each time anew, and is cancelled
// when the loop is left.
func (c *Client) InterpolateStream(ctx context.Context, request *kandinskyapiv1.InterpolateRequest) iter.Seq2[Event, error] {
	return streamOf(ctx, c, request, c.prior.Interpolate)
}

// EmbedImage turns an encoded picture, such as a PNG file's bytes, into its CLIP image embedding.
func (c *Client) EmbedImage(ctx context.Context, picture []byte) (*EmbeddingResult, error) {
	set, err := c.Interpolate(ctx, &kandinskyapiv1.InterpolateRequest{
		Conditions: []*kandinskyapiv1.Condition{
			{Kind: &kandinskyapiv1.Condition_Image{Image: &kandinskyapiv1.InputImage{Data: picture}}},
		},
		Weights: []*kandinskyapiv1.Weights{{Values: []float64{1}}},
	})
	if err != nil {
		return nil, err
	}
	if len(set.Results) != 1 {
		return nil, incomplete("one picture has one embedding, and %d came", len(set.Results))
	}
	return set.Results[0], nil
}

func embeddingSet(events iter.Seq2[Event, error]) (*EmbeddingSet, error) {
	set, err := gather(events)
	if err != nil {
		return nil, err
	}
	return &EmbeddingSet{Results: set.Embeddings, Completed: set.Completed}, nil
}
