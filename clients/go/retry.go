package kandinsky

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	firstDelay   = 100 * time.Millisecond
	longestDelay = 10 * time.Second
)

// patience is what one call has left: its retries. Trying again is safe: a request carries all it needs, and its results depend on
// nothing but that.
type patience struct {
	retries int // the most, after the first try
	tried   int
}

// wait returns nil after the time to wait before the next try, or an error where that cannot help: err, or what ended the
// waiting.
func (c *Client) wait(ctx context.Context, p *patience, err *Error) *Error {
	if p.tried >= p.retries || !transient(err) {
		return err
	}
	delay := jittered(err.retryDelay, p.tried)
	if deadline, has := ctx.Deadline(); has && delay >= time.Until(deadline) {
		return err
	}
	p.tried++
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errorOf(ctx, status.FromContextError(ctx.Err()).Err(), nil, nil)
	case <-c.closing.Done():
		return errorOf(ctx, status.Error(codes.Canceled, "the client was closed"), nil, nil)
	}
}

func transient(err *Error) bool {
	switch err.Code {
	case codes.Unavailable:
		return !tlsFailed(err)
	case codes.ResourceExhausted:
		// Without RetryInfo it is no queue that is exhausted: gRPC says the same of a message over the size limit. Waiting
		// for an unreachable deadline only brings it closer.
		return err.retryDelay != nil && err.Reason != ReasonDeadlineUnreachable
	default:
		return false
	}
}

// tlsFailed tells of both ends not agreeing on encryption or trust. gRPC has one code for that and for a server that is not
// there; its message carries what crypto/tls said.
func tlsFailed(err *Error) bool {
	return err.Reason == "" && strings.Contains(err.Message, "connection error: ") &&
		(strings.Contains(err.Message, "tls: ") || strings.Contains(err.Message, "x509: "))
}

// jittered returns the time before try number tried+1: never less than advised, and spread, so that clients turned away together
// do not come back together.
func jittered(advised *time.Duration, tried int) time.Duration {
	if advised != nil {
		return scaled(*advised, 1+rand.Float64()/4) + time.Duration(rand.Float64()*float64(50*time.Millisecond))
	}
	delay := min(float64(longestDelay), float64(firstDelay)*math.Pow(2, float64(tried)))
	return time.Duration(delay * (0.5 + rand.Float64()/2))
}

// scaled multiplies, up to the longest Duration there is.
func scaled(delay time.Duration, factor float64) time.Duration {
	return time.Duration(min(float64(delay)*factor, math.MaxInt64/2))
}
