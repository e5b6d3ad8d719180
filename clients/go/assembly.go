package kandinsky

import (
	"fmt"

	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// assembly turns the messages of one call into events, joins chunks, and checks that all of it came.
type assembly struct {
	embeddings       map[int32]*EmbeddingResult // of all tries
	embeddingIndices map[int32]bool             // of this try
	imageIndices     map[int32]bool             // of this try
	arriving         map[int32]*arrival
	completed        *kandinskyapiv1.Completed
}

type counts struct{ embeddings, images int32 }

// arrival is an image whose chunks are on their way.
type arrival struct {
	header     *kandinskyapiv1.ImageResult
	data       []byte
	chunkCount int32
}

func newAssembly() *assembly {
	return &assembly{
		embeddings:       map[int32]*EmbeddingResult{},
		embeddingIndices: map[int32]bool{},
		imageIndices:     map[int32]bool{},
		arriving:         map[int32]*arrival{},
	}
}

// begin begins a try: what an earlier one left unfinished does not count.
func (a *assembly) begin() {
	clear(a.embeddingIndices)
	clear(a.imageIndices)
	a.completed = nil
	clear(a.arriving)
}

// receive returns the event that one message completes, or nil. Completed is held back until finish, when the status is known
// to be OK. Errors wrap ErrIncompleteStream.
func (a *assembly) receive(event *kandinskyapiv1.Event) (Event, error) {
	switch kind := event.GetKind().(type) {
	case *kandinskyapiv1.Event_Queued:
		return Queued{kind.Queued}, nil
	case *kandinskyapiv1.Event_Progress:
		return Progress{kind.Progress}, nil
	case *kandinskyapiv1.Event_Preview:
		return Preview{kind.Preview}, nil
	case *kandinskyapiv1.Event_Embedding:
		return a.embedding(kind.Embedding)
	case *kandinskyapiv1.Event_Image:
		arriving := &arrival{header: kind.Image, data: kind.Image.GetData()}
		a.arriving[kind.Image.GetIndex()] = arriving
		return a.arrived(arriving)
	case *kandinskyapiv1.Event_Chunk:
		return a.chunk(kind.Chunk)
	case *kandinskyapiv1.Event_Completed:
		a.completed = kind.Completed
	}
	return nil, nil // also for a kind of event that is newer than this client
}

// finish returns the end of a try that ended with status OK, with its counts. Errors wrap ErrIncompleteStream.
func (a *assembly) finish() (*kandinskyapiv1.Completed, error) {
	if a.completed == nil {
		return nil, incomplete("the stream ended without `completed`: results may be missing")
	}
	sent := counts{a.completed.GetEmbeddingCount(), a.completed.GetImageCount()}
	came := counts{int32(len(a.embeddingIndices)), int32(len(a.imageIndices))}
	if came != sent || len(a.arriving) > 0 {
		return nil, incomplete("%d embeddings and %d images were sent, %d and %d arrived whole",
			sent.embeddings, sent.images, came.embeddings, came.images)
	}
	return a.completed, nil
}

func (a *assembly) embedding(message *kandinskyapiv1.EmbeddingResult) (Event, error) {
	result := &EmbeddingResult{
		Index:          int(message.GetIndex()),
		SourceIndex:    int(message.GetSourceIndex()),
		Pair:           EmbeddingPair{message.GetEmbeddings(), message.GetReceipt()},
		TruncatedTexts: message.GetTruncatedTexts(),
		Cached:         message.GetCached(),
	}
	if err := result.Pair.check(); err != nil {
		return nil, incomplete("embedding %d: %v", result.Index, err)
	}
	a.embeddings[message.GetIndex()] = result
	a.embeddingIndices[message.GetIndex()] = true
	return result, nil
}

func (a *assembly) chunk(chunk *kandinskyapiv1.ImageChunk) (Event, error) {
	arriving, known := a.arriving[chunk.GetIndex()]
	if !known {
		return nil, incomplete("a chunk of image %d came that none was announced for", chunk.GetIndex())
	}
	if chunk.GetOffsetBytes() != int64(len(arriving.data)) {
		return nil, incomplete("image %d misses bytes: its next should be %d, not %d",
			chunk.GetIndex(), len(arriving.data), chunk.GetOffsetBytes())
	}
	arriving.data = append(arriving.data, chunk.GetData()...)
	arriving.chunkCount++
	return a.arrived(arriving)
}

func (a *assembly) arrived(arriving *arrival) (Event, error) {
	header, size := arriving.header, int64(len(arriving.data))
	whole := arriving.chunkCount >= header.GetChunkCount()
	if size > header.GetSizeBytes() || (whole && size < header.GetSizeBytes()) {
		return nil, incomplete("image %d has %d bytes of %d, after %d chunks of %d",
			header.GetIndex(), size, header.GetSizeBytes(), arriving.chunkCount, header.GetChunkCount())
	}
	if !whole {
		return nil, nil
	}
	delete(a.arriving, header.GetIndex())
	a.imageIndices[header.GetIndex()] = true
	result := &ImageResult{
		Index:       int(header.GetIndex()),
		SourceIndex: int(header.GetSourceIndex()),
		Data:        arriving.data,
		Format:      header.GetFormat(),
		WidthPx:     int(header.GetWidthPx()),
		HeightPx:    int(header.GetHeightPx()),
		Receipt:     header.GetReceipt(),
	}
	if made := a.embeddings[header.GetIndex()]; made != nil {
		result.Embedding = &made.Pair
	}
	return result, nil
}

func incomplete(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrIncompleteStream, fmt.Sprintf(format, args...))
}
