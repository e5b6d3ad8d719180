package kandinsky_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	kandinsky "github.com/kandinsky-grpc/kandinsky-grpc/clients/go"
	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// refused makes a call that the server answers with a status, and returns the client's error.
func refused(t *testing.T, do answer) *kandinsky.Error {
	t.Helper()
	client := (&fakeServer{answers: []answer{do}}).start(t, kandinsky.WithRetries(0))
	_, err := client.Decode(context.Background(), &kandinskyapiv1.DecodeRequest{})
	var failed *kandinsky.Error
	if !errors.As(err, &failed) {
		t.Fatalf("got %v", err)
	}
	return failed
}

func TestAnErrorHasTheServersDetails(t *testing.T) {
	failed := refused(t, func(ctx context.Context, _ proto.Message, _ func(*kandinskyapiv1.Event) error) error {
		grpc.SetTrailer(ctx, metadata.Pairs("x-request-id", "request-1"))
		st, err := status.New(codes.InvalidArgument, "bad").WithDetails(
			protoadapt.MessageV1Of(&errdetails.Help{}), // a kind that is not known
			protoadapt.MessageV1Of(&errdetails.ErrorInfo{Domain: "kandinsky-grpc.github.io", Reason: "INVALID_FIELD", Metadata: map[string]string{"violation_count": "1"}}),
			protoadapt.MessageV1Of(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "sampling.seed", Description: "too small"}}}),
			protoadapt.MessageV1Of(&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)}),
		)
		if err != nil {
			return err
		}
		return st.Err()
	})
	if failed.Code != codes.InvalidArgument || failed.Message != "bad" || failed.Reason != kandinsky.ReasonInvalidField ||
		failed.Metadata["violation_count"] != "1" || failed.RequestID != "request-1" || len(failed.Violations) != 1 {
		t.Errorf("got %#v", failed)
	}
	if delay, advised := failed.RetryDelay(); delay != 1500*time.Millisecond || !advised {
		t.Errorf("retry after %v, %v", delay, advised)
	}
	if want := "kandinsky: InvalidArgument (INVALID_FIELD): bad | sampling.seed: too small | request request-1"; failed.Error() != want {
		t.Errorf("said %q", failed)
	}
	if st, ok := status.FromError(failed); !ok || st.Code() != codes.InvalidArgument || len(st.Details()) != 4 {
		t.Errorf("as a status: %v", st)
	}
	if status.Code(errors.Unwrap(failed)) != codes.InvalidArgument || errors.Is(failed, context.Canceled) {
		t.Errorf("wraps %v", errors.Unwrap(failed))
	}
}

func TestTheRequestIDIsFoundWhereverItIs(t *testing.T) {
	failed := refused(t, func(ctx context.Context, _ proto.Message, send func(*kandinskyapiv1.Event) error) error {
		grpc.SetHeader(ctx, metadata.Pairs("x-request-id", "from-header"))
		return errors.Join(send(queued(1)), status.Error(codes.Internal, "no"))
	})
	if failed.RequestID != "from-header" {
		t.Errorf("got %q", failed.RequestID)
	}
	st, err := status.New(codes.Internal, "no").WithDetails(protoadapt.MessageV1Of(&errdetails.RequestInfo{RequestId: "from-details"}))
	if err != nil {
		t.Fatal(err)
	}
	if failed := refused(t, script(st.Err())); failed.RequestID != "from-details" {
		t.Errorf("got %q", failed.RequestID)
	}
}

func TestAnotherDomainsReasonDoesNotCount(t *testing.T) {
	st, err := status.New(codes.Unavailable, "no").WithDetails(
		protoadapt.MessageV1Of(&errdetails.ErrorInfo{Domain: "example.org", Reason: "QUEUE_FULL"}))
	if err != nil {
		t.Fatal(err)
	}
	if failed := refused(t, script(st.Err())); failed.Reason != "" || failed.Metadata != nil {
		t.Errorf("got %#v", failed)
	}
}

func TestDetailsThatCannotBeReadLeaveCodeAndMessage(t *testing.T) {
	info, err := anypb.New(&errdetails.ErrorInfo{Domain: "kandinsky-grpc.github.io", Reason: "QUEUE_FULL"})
	if err != nil {
		t.Fatal(err)
	}
	retry := &anypb.Any{TypeUrl: "type.googleapis.com/google.rpc.RetryInfo", Value: []byte{0x0a, 0x7f, 0x01}}
	cut := &spb.Status{Code: int32(codes.ResourceExhausted), Message: "full", Details: []*anypb.Any{info, retry}}
	whole, err := proto.Marshal(cut)
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]answer{
		"a detail":    script(status.FromProto(cut).Err()),
		"the details": trailer("full", whole[:len(whole)-5]),
		"no protobuf": trailer("full", []byte{0xff, 0xff}),
	} {
		t.Run(name, func(t *testing.T) {
			failed := refused(t, do)
			_, advised := failed.RetryDelay()
			if failed.Code != codes.ResourceExhausted || failed.Message != "full" || failed.Reason != "" || advised {
				t.Errorf("got %#v", failed)
			}
		})
	}
}

// trailer answers with these bytes for grpc-status-details-bin.
func trailer(message string, details []byte) answer {
	return func(ctx context.Context, _ proto.Message, _ func(*kandinskyapiv1.Event) error) error {
		grpc.SetTrailer(ctx, metadata.Pairs("grpc-status-details-bin", string(details)))
		return status.Error(codes.ResourceExhausted, message)
	}
}

func TestEveryReasonOfTheContractHasAConstant(t *testing.T) {
	source := readFile(t, "reason.go")
	values := kandinskyapiv1.ErrorReason(0).Descriptor().Values()
	for place := range values.Len() {
		name := strings.TrimPrefix(string(values.Get(place).Name()), "ERROR_REASON_")
		if known := strings.Contains(source, `Reason = "`+name+`"`); known != (name != "UNSPECIFIED") {
			t.Errorf("%s: %v", name, known)
		}
	}
	if count := strings.Count(source, "Reason = "); count != values.Len()-1 {
		t.Errorf("%d constants for %d reasons", count, values.Len()-1)
	}
}
