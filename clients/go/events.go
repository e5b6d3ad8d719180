package kandinsky

import "github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"

// Event is what happens during a call: a [Queued], [Progress], [Preview], [*EmbeddingResult], [*ImageResult] or [Completed].
// Newer versions of this package may have more; pass over what you do not know.
type Event interface{ isEvent() }

// Queued tells that the request waits for a place in a batch. It comes again when a call is tried again.
type Queued struct{ *kandinskyapiv1.Queued }

// Progress tells how far one trajectory is.
type Progress struct{ *kandinskyapiv1.Progress }

// Preview shows what one image looks like so far.
type Preview struct{ *kandinskyapiv1.Preview }

// Completed is the last event of a stream that succeeded.
type Completed struct{ *kandinskyapiv1.Completed }

func (Queued) isEvent()           {}
func (Progress) isEvent()         {}
func (Preview) isEvent()          {}
func (*EmbeddingResult) isEvent() {}
func (*ImageResult) isEvent()     {}
func (Completed) isEvent()        {}
