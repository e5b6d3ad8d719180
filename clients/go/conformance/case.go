package main

import (
	"encoding/json"
	"math"
	"time"

	kandinsky "github.com/kandinsky-grpc/kandinsky-grpc/clients/go"
)

// testCase is one line of the input. Byte slices are base64.
type testCase struct {
	Case           string            `json:"case"`
	Target         string            `json:"target"`
	TLS            *tlsFiles         `json:"tls"`
	Token          string            `json:"token"`
	Metadata       map[string]string `json:"metadata"`
	TimeoutSeconds json.RawMessage   `json:"timeout_seconds"` // a number, or "inf"
	Retries        *int              `json:"retries"`

	Call           string `json:"call"`
	Request        []byte `json:"request"`
	Image          []byte `json:"image"`
	Service        string `json:"service"`
	EmbeddingsFile string `json:"embeddings_file"`
	SaveFile       string `json:"save_file"`
	Type           string `json:"type"`
	Message        []byte `json:"message"`

	CancelOn           string   `json:"cancel_on"`
	CancelAfterSeconds *float64 `json:"cancel_after_seconds"`
	LingerSeconds      float64  `json:"linger_seconds"`
}

type tlsFiles struct {
	CA          string `json:"ca"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

// options returns the client's options that the case asks for.
func (c testCase) options() ([]kandinsky.Option, error) {
	options := []kandinsky.Option{kandinsky.WithToken(c.Token), kandinsky.WithMetadata(c.Metadata)}
	if c.TLS != nil {
		config, err := kandinsky.LoadTLS(kandinsky.TLSFiles(*c.TLS))
		if err != nil {
			return nil, err
		}
		options = append(options, kandinsky.WithTLS(config))
	}
	if c.Retries != nil {
		options = append(options, kandinsky.WithRetries(*c.Retries))
	}
	if c.TimeoutSeconds != nil {
		seconds := math.Inf(1)
		if string(c.TimeoutSeconds) != `"inf"` {
			if err := json.Unmarshal(c.TimeoutSeconds, &seconds); err != nil {
				return nil, err
			}
		}
		options = append(options, kandinsky.WithTimeout(duration(seconds)))
	}
	return options, nil
}

// duration returns seconds; infinity is the longest that there is.
func duration(seconds float64) time.Duration {
	if seconds*float64(time.Second) >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(seconds * float64(time.Second))
}
