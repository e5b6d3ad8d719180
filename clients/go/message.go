package kandinsky

import (
	"math/rand/v2"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// streamRequest is a request of a streaming RPC: all have the fields `sampling`, with a `seed`, and `options`.
type streamRequest interface {
	proto.Message
	GetOptions() *kandinskyapiv1.RequestOptions
}

// filled returns request with what it leaves unset: a seed and the client's priority. The seed is drawn here and not by the
// server, so that a call that is tried again is the same call. The caller's message is left as it is; what it refers to, such
// as pictures, is shared and not copied.
func filled[Request streamRequest](c *Client, request Request) Request {
	message := shallow(request.ProtoReflect())
	sampling := message.Descriptor().Fields().ByName("sampling")
	drawn := shallow(message.Get(sampling).Message())
	if seed := drawn.Descriptor().Fields().ByName("seed"); !drawn.Has(seed) {
		drawn.Set(seed, protoreflect.ValueOfInt64(int64(rand.Uint32())))
	}
	message.Set(sampling, protoreflect.ValueOfMessage(drawn))

	return withOptions(message.Interface().(Request), func(options *kandinskyapiv1.RequestOptions) {
		if options.Priority == kandinskyapiv1.Priority_PRIORITY_UNSPECIFIED {
			options.Priority = c.priority
		}
	})
}

// quiet returns request without progress events, unless it asks for them: who gathers results reads none.
func quiet[Request streamRequest](request Request) Request {
	return withOptions(request, func(options *kandinskyapiv1.RequestOptions) {
		if options.ProgressIntervalSteps == nil {
			options.ProgressIntervalSteps = proto.Int32(0)
		}
	})
}

// resumed returns request as the next try sends it: with what the earlier ones came to.
func resumed[Request streamRequest](request Request, r *resumption) Request {
	resume := r.next()
	if resume == nil && request.GetOptions().GetResume() == nil {
		return request
	}
	return withOptions(request, func(options *kandinskyapiv1.RequestOptions) { options.Resume = resume })
}

// withOptions returns request with its options changed.
func withOptions[Request streamRequest](request Request, change func(*kandinskyapiv1.RequestOptions)) Request {
	message := shallow(request.ProtoReflect())
	options := shallow(request.GetOptions().ProtoReflect())
	change(options.Interface().(*kandinskyapiv1.RequestOptions))
	message.Set(message.Descriptor().Fields().ByName("options"), protoreflect.ValueOfMessage(options))
	return message.Interface().(Request)
}

// shallow returns a new message with the fields of another; nil is an empty one.
func shallow(message protoreflect.Message) protoreflect.Message {
	fresh := message.New()
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		fresh.Set(field, value)
		return true
	})
	fresh.SetUnknown(message.GetUnknown())
	return fresh
}
