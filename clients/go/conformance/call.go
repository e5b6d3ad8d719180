package main

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	kandinsky "github.com/kandinsky-grpc/kandinsky-grpc/clients/go"
	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// call makes the case's call and reports what came of it.
func call(ctx context.Context, cancel context.CancelFunc, client *kandinsky.Client, c testCase, r *report) error {
	switch c.Call {
	case "estimate":
		request := &kandinskyapiv1.EstimateRequest{}
		return answered(request, c.Request, &r.Estimate, func() (proto.Message, error) { return client.Estimate(ctx, request) })
	case "info":
		return answered(nil, nil, &r.Info, func() (proto.Message, error) { return client.Info(ctx) })
	case "health":
		health, err := client.Health(ctx, c.Service)
		if err == nil {
			r.Health = "unknown"
			if name, ok := grpc_health_v1.HealthCheckResponse_ServingStatus_name[int32(health)]; ok {
				r.Health = strings.ToLower(name)
			}
		}
		return err
	case "embed_image":
		result, err := client.EmbedImage(ctx, c.Image)
		if err != nil {
			return err
		}
		if err := r.embedding(result.Index, result.SourceIndex, result.Pair); err != nil || c.SaveFile == "" {
			return err
		}
		return r.saved.Save(c.SaveFile)
	case "embedding_file":
		return r.file(c)
	case "round_trip":
		return roundTrip(c, r)
	default:
		events, err := streamed(ctx, client, c)
		if err != nil {
			return err
		}
		return r.watch(events, c, cancel)
	}
}

// answered reads a request, asks, and keeps the serialized answer.
func answered(request proto.Message, written []byte, kept *[]byte, ask func() (proto.Message, error)) error {
	if request != nil {
		if err := proto.Unmarshal(written, request); err != nil {
			return err
		}
	}
	answer, err := ask()
	if err != nil {
		return err
	}
	*kept, err = proto.Marshal(answer)
	return err
}

// streamed returns the events of a streaming call, with the embeddings of the case's file added to its request.
func streamed(ctx context.Context, client *kandinsky.Client, c testCase) (iter.Seq2[kandinsky.Event, error], error) {
	var pairs []*kandinskyapiv1.EmbeddingPair
	if c.EmbeddingsFile != "" {
		loaded, err := kandinsky.LoadEmbeddings(c.EmbeddingsFile)
		if err != nil {
			return nil, err
		}
		pairs = loaded.Messages()
	}
	switch c.Call {
	case "prior":
		request := &kandinskyapiv1.PriorRequest{}
		err := proto.Unmarshal(c.Request, request)
		return client.PriorStream(ctx, request), err
	case "interpolate":
		request := &kandinskyapiv1.InterpolateRequest{}
		err := proto.Unmarshal(c.Request, request)
		return client.InterpolateStream(ctx, request), err
	case "decode":
		request := &kandinskyapiv1.DecodeRequest{}
		err := proto.Unmarshal(c.Request, request)
		request.Embeddings = append(request.Embeddings, pairs...)
		return client.DecodeStream(ctx, request), err
	case "img2img":
		request := &kandinskyapiv1.Img2ImgRequest{}
		err := proto.Unmarshal(c.Request, request)
		request.Embeddings = append(request.Embeddings, pairs...)
		return client.Img2ImgStream(ctx, request), err
	case "inpaint":
		request := &kandinskyapiv1.InpaintRequest{}
		err := proto.Unmarshal(c.Request, request)
		request.Embeddings = append(request.Embeddings, pairs...)
		return client.InpaintStream(ctx, request), err
	case "controlnet":
		request := &kandinskyapiv1.ControlNetRequest{}
		err := proto.Unmarshal(c.Request, request)
		request.Embeddings = append(request.Embeddings, pairs...)
		return client.ControlNetStream(ctx, request), err
	case "generate":
		request := &kandinskyapiv1.GenerateRequest{}
		err := proto.Unmarshal(c.Request, request)
		return client.GenerateStream(ctx, request), err
	default:
		return nil, fmt.Errorf("no such call: %q", c.Call)
	}
}

func roundTrip(c testCase, r *report) error {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName("kandinsky_api.v1." + c.Type))
	if err != nil {
		return err
	}
	message := kind.New().Interface()
	if err := proto.Unmarshal(c.Message, message); err != nil {
		return err
	}
	r.Message, err = proto.Marshal(message)
	return err
}
