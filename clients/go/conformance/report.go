package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"math"

	kandinsky "github.com/kandinsky-grpc/kandinsky-grpc/clients/go"
	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// report is one line of the output.
type report struct {
	Case           string       `json:"case"`
	Events         []string     `json:"events,omitempty"`
	Queued         *queued      `json:"queued,omitempty"`
	Progress       [][4]any     `json:"progress,omitempty"`
	Previews       []preview    `json:"previews,omitempty"`
	Images         []image      `json:"images,omitempty"`
	Embeddings     []embedding  `json:"embeddings,omitempty"`
	Completed      *completed   `json:"completed,omitempty"`
	Error          *errorReport `json:"error,omitempty"`
	Cancelled      bool         `json:"cancelled,omitempty"`
	ElapsedSeconds float64      `json:"elapsed_seconds"`
	Info           []byte       `json:"info,omitempty"`
	Estimate       []byte       `json:"estimate,omitempty"`
	Message        []byte       `json:"message,omitempty"`
	Health         string       `json:"health,omitempty"`

	saved kandinsky.Embeddings
}

type queued struct {
	Position        int32  `json:"position"`
	RequestID       string `json:"request_id"`
	Seed            int64  `json:"seed"`
	TrajectoryCount int32  `json:"trajectory_count"`
}

type preview struct {
	Index     int32                      `json:"index"`
	Step      int32                      `json:"step"`
	StepCount int32                      `json:"step_count"`
	Format    kandinskyapiv1.ImageFormat `json:"format"`
	SHA256    string                     `json:"sha256"`
}

type image struct {
	Index       int                        `json:"index"`
	SourceIndex int                        `json:"source_index"`
	Format      kandinskyapiv1.ImageFormat `json:"format"`
	WidthPx     int                        `json:"width_px"`
	HeightPx    int                        `json:"height_px"`
	SizeBytes   int                        `json:"size_bytes"`
	SHA256      string                     `json:"sha256"`
	Seed        int64                      `json:"seed"`
}

type embedding struct {
	Index          int      `json:"index"`
	SourceIndex    int      `json:"source_index"`
	Fingerprint    string   `json:"fingerprint"`
	Width          int      `json:"width"`
	PositiveSHA256 string   `json:"positive_sha256"`
	NegativeSHA256 string   `json:"negative_sha256,omitempty"`
	First          *float64 `json:"first,omitempty"`
}

type completed struct {
	EmbeddingCount int32    `json:"embedding_count"`
	ImageCount     int32    `json:"image_count"`
	StepCount      int64    `json:"step_count"`
	Seed           int64    `json:"seed"`
	Warnings       []string `json:"warnings"`
}

// watch reports the events of a stream as they come.
func (r *report) watch(events iter.Seq2[kandinsky.Event, error], c testCase, cancel func()) error {
	for event, err := range events {
		if err != nil {
			return err
		}
		kind, err := r.event(event)
		if err != nil {
			return err
		}
		r.Events = append(r.Events, kind)
		if kind == c.CancelOn {
			cancel()
		}
	}
	if c.SaveFile == "" {
		return nil
	}
	return r.saved.Save(c.SaveFile)
}

// event reports one event and returns its kind.
func (r *report) event(event kandinsky.Event) (string, error) {
	switch event := event.(type) {
	case kandinsky.Queued:
		r.Queued = &queued{event.Position, event.RequestId, event.Seed, event.TrajectoryCount}
		return "queued", nil
	case kandinsky.Progress:
		r.Progress = append(r.Progress, [4]any{event.Stage, event.Index, event.Step, event.StepCount})
		return "progress", nil
	case kandinsky.Preview:
		r.Previews = append(r.Previews, preview{event.Index, event.Step, event.StepCount, event.Format, digest(event.Data)})
		return "preview", nil
	case *kandinsky.EmbeddingResult:
		return "embedding", r.embedding(event.Index, event.SourceIndex, event.Pair)
	case *kandinsky.ImageResult:
		r.Images = append(r.Images, image{
			event.Index, event.SourceIndex, event.Format, event.WidthPx, event.HeightPx,
			len(event.Data), digest(event.Data), event.Receipt.GetSeed(),
		})
		return "image", nil
	case kandinsky.Completed:
		warnings := append([]string{}, event.Warnings...)
		r.Completed = &completed{event.EmbeddingCount, event.ImageCount, event.StepCount, event.Seed, warnings}
		return "completed", nil
	default:
		return "unknown", nil
	}
}

func (r *report) embedding(index, sourceIndex int, pair kandinsky.EmbeddingPair) error {
	positive, err := kandinsky.Values(pair.Positive)
	if err != nil {
		return err
	}
	said := embedding{
		Index: index, SourceIndex: sourceIndex, Fingerprint: pair.Positive.PriorFingerprint, Width: len(positive),
		PositiveSHA256: floatsDigest(positive),
	}
	if len(positive) > 0 {
		first := float64(positive[0])
		if !math.IsNaN(first) && !math.IsInf(first, 0) { // JSON has neither
			said.First = &first
		}
	}
	if pair.Negative != nil {
		negative, err := kandinsky.Values(pair.Negative)
		if err != nil {
			return err
		}
		said.NegativeSHA256 = floatsDigest(negative)
	}
	r.Embeddings = append(r.Embeddings, said)
	r.saved = append(r.saved, pair)
	return nil
}

// file reports the embeddings of the case's file, and saves them again.
func (r *report) file(c testCase) error {
	loaded, err := kandinsky.LoadEmbeddings(c.EmbeddingsFile)
	if err != nil {
		return err
	}
	for row, pair := range loaded {
		if err := r.embedding(row, row, pair); err != nil {
			return err
		}
	}
	if c.SaveFile == "" {
		return nil
	}
	return loaded.Save(c.SaveFile)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func floatsDigest(values []float32) string {
	data, err := binary.Append(nil, binary.LittleEndian, values)
	if err != nil {
		panic(err) // float32 has a size
	}
	return digest(data)
}
