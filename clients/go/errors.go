package kandinsky

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// ErrIncompleteStream is an answer that ended early, or whose images or embeddings do not add up.
var ErrIncompleteStream = errors.New("kandinsky: incomplete stream")

const requestIDKey = "x-request-id"

// Violation is one field of the request that broke its range.
type Violation struct {
	Field       string // its path, such as "sampling.step_count"
	Description string // what to change
}

// Error is a status other than OK, from the server or from the way to it.
type Error struct {
	Code       codes.Code
	Message    string            // the server's sentence
	Reason     Reason            // empty where gRPC itself, or a proxy, made the status
	Metadata   map[string]string // the limits and values that the message speaks of
	Violations []Violation       // the fields to change, for InvalidArgument
	RequestID  string            // what the server's log knows the request by; empty when it never got there

	retryDelay *time.Duration
	status     *status.Status
	cause      error
}

// RetryDelay returns how long the server advises to wait before another try. It is false where it gives no advice.
func (e *Error) RetryDelay() (delay time.Duration, advised bool) {
	if e.retryDelay == nil {
		return 0, false
	}
	return *e.retryDelay, true
}

// Error tells code, reason, message, the fields to change and the request's id.
func (e *Error) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "kandinsky: %v", e.Code)
	if e.Reason != "" {
		fmt.Fprintf(&text, " (%s)", e.Reason)
	}
	fmt.Fprintf(&text, ": %s", e.Message)
	for _, violation := range e.Violations {
		if !strings.Contains(e.Message, violation.Description) {
			fmt.Fprintf(&text, " | %s: %s", violation.Field, violation.Description)
		}
	}
	if e.RequestID != "" {
		fmt.Fprintf(&text, " | request %s", e.RequestID)
	}
	return text.String()
}

// Unwrap returns [context.Canceled] or [context.DeadlineExceeded] where the call's context ended it, else gRPC's error.
func (e *Error) Unwrap() error { return e.cause }

// GRPCStatus returns the status as it came, for [google.golang.org/grpc/status.FromError].
func (e *Error) GRPCStatus() *status.Status { return e.status }

// errorOf translates what gRPC returned for a call made in ctx. The metadata of the call may be nil.
func errorOf(ctx context.Context, err error, trailer, header metadata.MD) *Error {
	st := status.Convert(err)
	details := detailsOf(st)
	e := &Error{
		Code:       st.Code(),
		Message:    st.Message(),
		Reason:     details.reason,
		Metadata:   details.metadata,
		Violations: details.violations,
		RequestID:  details.requestID,
		retryDelay: details.retryDelay,
		status:     st,
		cause:      err,
	}
	if ctx.Err() == nil && e.isLost() {
		e.Code = codes.Unavailable
	}
	for _, md := range []metadata.MD{header, trailer} {
		if ids := md.Get(requestIDKey); len(ids) > 0 {
			e.RequestID = ids[len(ids)-1]
		}
	}
	if ended := endOf(ctx, e); ended != nil {
		e.cause = ended
	}
	return e
}

// isLost reports whether a proxy lost the server and cut the stream off, or the server ended as the call came: gRPC's servers
// then say CANCELLED. The statuses of this contract have reasons.
func (e *Error) isLost() bool {
	switch {
	case e.Reason != "":
		return false
	case e.Code == codes.Canceled && e.Message == "CANCELLED":
		return true
	default:
		return (e.Code == codes.Internal || e.Code == codes.Canceled) && strings.Contains(e.Message, "RST_STREAM")
	}
}

// endOf returns what ended the call's context, where that is what the error tells. The server, or gRPC, may see the deadline
// pass a moment before the context does.
func endOf(ctx context.Context, e *Error) error {
	if ended := ctx.Err(); ended != nil && status.FromContextError(ended).Code() == e.Code {
		return ended
	}
	deadline, has := ctx.Deadline()
	passed := e.Reason == ReasonDeadlineExceeded || !time.Now().Before(deadline)
	if has && passed && e.Code == codes.DeadlineExceeded {
		return context.DeadlineExceeded
	}
	return nil
}
