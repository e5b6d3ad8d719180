package kandinsky

import (
	"context"
	"iter"

	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// Decode turns embeddings into images.
func (c *Client) Decode(ctx context.Context, request *kandinskyapiv1.DecodeRequest) (*ImageSet, error) {
	return gather(c.DecodeStream(ctx, quiet(request)))
}

// DecodeStream is [Client.Decode] as it happens. The call begins when the events are ranged over, each time anew, and is cancelled
// when the loop is left.
func (c *Client) DecodeStream(ctx context.Context, request *kandinskyapiv1.DecodeRequest) iter.Seq2[Event, error] {
	return streamOf(ctx, c, request, c.image.Decode)
}

// Img2Img repaints an image towards embeddings.
func (c *Client) Img2Img(ctx context.Context, request *kandinskyapiv1.Img2ImgRequest) (*ImageSet, error) {
	return gather(c.Img2ImgStream(ctx, quiet(request)))
}

// Img2ImgStream is [Client.Img2Img] as it happens. The call begins when the events are ranged over, each time anew, and is cancelled
// when the loop is left.
func (c *Client) Img2ImgStream(ctx context.Context, request *kandinskyapiv1.Img2ImgRequest) iter.Seq2[Event, error] {
	return streamOf(ctx, c, request, c.image.Img2Img)
}

// Inpaint repaints the white part of a mask.
func (c *Client) Inpaint(ctx context.Context, request *kandinskyapiv1.InpaintRequest) (*ImageSet, error) {
	return gather(c.InpaintStream(ctx, quiet(request)))
}

// InpaintStream is [Client.Inpaint] as it happens. The call begins when the events are ranged over, each time anew, and is cancelled
// when the loop is left.
func (c *Client) InpaintStream(ctx context.Context, request *kandinskyapiv1.InpaintRequest) iter.Seq2[Event, error] {
	return streamOf(ctx, c, request, c.image.Inpaint)
}

// ControlNet turns embeddings into images that follow a depth hint.
func (c *Client) ControlNet(ctx context.Context, request *kandinskyapiv1.ControlNetRequest) (*ImageSet, error) {
	return gather(c.ControlNetStream(ctx, quiet(request)))
}

// ControlNetStream is [Client.ControlNet] as it happens. The call begins when the events are ranged over, each time anew, and is cancelled
// when the loop is left.
func (c *Client) ControlNetStream(ctx context.Context, request *kandinskyapiv1.ControlNetRequest) iter.Seq2[Event, error] {
	return streamOf(ctx, c, request, c.image.ControlNet)
}

// Generate turns prompts into images in one call. The embeddings that it made on the way come with them.
func (c *Client) Generate(ctx context.Context, request *kandinskyapiv1.GenerateRequest) (*ImageSet, error) {
	return gather(c.GenerateStream(ctx, quiet(request)))
}

// GenerateStream is [Client.Generate] as it happens. The call begins when the events are ranged over, each time anew, and is cancelled
// when the loop is left.
func (c *Client) GenerateStream(ctx context.Context, request *kandinskyapiv1.GenerateRequest) iter.Seq2[Event, error] {
	return streamOf(ctx, c, request, c.image.Generate)
}
