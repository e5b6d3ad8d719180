package main

import (
	"errors"
	"maps"

	"google.golang.org/genproto/googleapis/rpc/code"

	kandinsky "github.com/kandinsky-grpc/kandinsky-grpc/clients/go"
)

type errorReport struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	*rpcReport
}

// rpcReport is what a status has beside.
type rpcReport struct {
	Code              string            `json:"code"`
	Reason            kandinsky.Reason  `json:"reason"`
	Metadata          map[string]string `json:"metadata"`
	Violations        [][2]string       `json:"violations"`
	RetryDelaySeconds *float64          `json:"retry_delay_seconds"`
	RequestID         string            `json:"request_id"`
}

// failed reports what a call returned.
func (r *report) failed(err error) {
	r.Error = &errorReport{Kind: "program", Message: err.Error()} // such as a file that is not there
	var failed *kandinsky.Error
	switch {
	case errors.As(err, &failed):
		r.Error = &errorReport{Kind: "rpc", Message: failed.Message, rpcReport: rpcError(failed)}
	case errors.Is(err, kandinsky.ErrIncompleteStream):
		r.Error.Kind = "incomplete_stream"
	case errors.Is(err, kandinsky.ErrEmbeddingFile):
		r.Error.Kind = "embedding_file"
	case errors.Is(err, kandinsky.ErrArgument):
		r.Error.Kind = "argument"
	}
}

func rpcError(failed *kandinsky.Error) *rpcReport {
	said := &rpcReport{
		Code: code.Code(failed.Code).String(), Reason: failed.Reason, Metadata: map[string]string{},
		Violations: [][2]string{}, RequestID: failed.RequestID,
	}
	maps.Copy(said.Metadata, failed.Metadata)
	for _, violation := range failed.Violations {
		said.Violations = append(said.Violations, [2]string{violation.Field, violation.Description})
	}
	if delay, advised := failed.RetryDelay(); advised {
		seconds := delay.Seconds()
		said.RetryDelaySeconds = &seconds
	}
	return said
}
