package kandinsky

import (
	"cmp"
	"iter"
	"slices"

	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// EmbeddingResult is a finished embedding pair.
type EmbeddingResult struct {
	Index          int           // its place among the results, from 0
	SourceIndex    int           // the index of the prompt, or of the weight vector, it was made for
	Pair           EmbeddingPair // ready for the image calls, with the receipt of what made it
	TruncatedTexts []*kandinskyapiv1.TruncatedText
	Cached         bool // whether it came from the server's prior cache
}

// ImageResult is a finished image.
type ImageResult struct {
	Index       int    // its place among the results, from 0
	SourceIndex int    // the index of the embedding pair it was made from
	Data        []byte // encoded as Format says
	Format      kandinskyapiv1.ImageFormat
	WidthPx     int
	HeightPx    int
	Receipt     *kandinskyapiv1.Receipt // what made it
	Embedding   *EmbeddingPair          // the pair it was made from, for Generate; nil elsewhere, where the caller gave it
}

// EmbeddingSet is what [Client.Prior] and [Client.Interpolate] return.
type EmbeddingSet struct {
	Results   []*EmbeddingResult // by index
	Completed Completed
}

// Embeddings returns the pairs of the results, to be saved or to be put into a request.
func (s *EmbeddingSet) Embeddings() Embeddings {
	pairs := make(Embeddings, len(s.Results))
	for place, result := range s.Results {
		pairs[place] = result.Pair
	}
	return pairs
}

// ImageSet is what the image calls return.
type ImageSet struct {
	Results    []*ImageResult     // by index
	Embeddings []*EmbeddingResult // by index: what Generate made on the way; empty elsewhere
	Completed  Completed
}

// gather reads a stream to its end.
func gather(events iter.Seq2[Event, error]) (*ImageSet, error) {
	set := &ImageSet{}
	for event, err := range events {
		if err != nil {
			return nil, err
		}
		switch event := event.(type) {
		case *EmbeddingResult:
			set.Embeddings = append(set.Embeddings, event)
		case *ImageResult:
			set.Results = append(set.Results, event)
		case Completed:
			set.Completed = event
		}
	}
	slices.SortStableFunc(set.Embeddings, func(a, b *EmbeddingResult) int { return cmp.Compare(a.Index, b.Index) })
	slices.SortStableFunc(set.Results, func(a, b *ImageResult) int { return cmp.Compare(a.Index, b.Index) })
	return set, nil
}
