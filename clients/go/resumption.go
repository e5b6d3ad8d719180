package kandinsky

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// resumeField is how the server names what it does not go on from.
const resumeField = "options.resume"

// resumption is what the tries of one call have brought so far, for the next one to go on from.
type resumption struct {
	progressed bool // whether a new checkpoint or result came since the last try began
	asked      bool // whether the last try was asked to go on from somewhere
	resume     *kandinskyapiv1.Resume
	delivered  counts // in this call
}

// newResumption starts from what the caller kept of an earlier call, if anything.
func newResumption(options *kandinskyapiv1.RequestOptions) *resumption {
	resume := &kandinskyapiv1.Resume{}
	proto.Merge(resume, options.GetResume())
	return &resumption{
		asked:  options.GetResume() != nil,
		resume: resume,
	}
}

// receive notes what a message brought, and tells whether event, which it makes, is new to the caller: a server that does not
// know options.resume sends again what an earlier try delivered.
func (r *resumption) receive(message *kandinskyapiv1.Event, event Event) bool {
	switch event := event.(type) {
	case *EmbeddingResult:
		index := int32(event.Index)
		if slices.ContainsFunc(r.resume.Embeddings, func(delivered *kandinskyapiv1.DeliveredEmbedding) bool {
			return delivered.GetIndex() == index
		}) {
			return false
		}
		pair := proto.CloneOf(message.GetEmbedding().GetEmbeddings()) // the caller may change theirs
		r.resume.Embeddings = append(r.resume.Embeddings, &kandinskyapiv1.DeliveredEmbedding{Index: index, Embeddings: pair})
		r.delivered.embeddings++
		r.deliver(message.GetEmbedding().GetReceipt())
	case *ImageResult:
		if slices.Contains(r.resume.ImageIndices, int32(event.Index)) {
			return false
		}
		r.resume.ImageIndices = append(r.resume.ImageIndices, int32(event.Index))
		r.delivered.images++
		r.deliver(event.Receipt)
	}
	if checkpoint := message.GetCheckpoint(); checkpoint != nil {
		r.keep(checkpoint)
	}
	return true
}

// deliver notes which stage made a result that is handed out.
func (r *resumption) deliver(receipt *kandinskyapiv1.Receipt) {
	if receipt.GetFingerprint() != "" {
		if r.resume.StageFingerprints == nil {
			r.resume.StageFingerprints = map[string]string{}
		}
		r.resume.StageFingerprints[receipt.GetStage()] = receipt.GetFingerprint()
	}
	r.progressed = true
}

// keep keeps the newest checkpoint of each trajectory. A server that does not go on from it comes through older ones again.
func (r *resumption) keep(newest *kandinskyapiv1.Checkpoint) {
	older := slices.IndexFunc(r.resume.Checkpoints, func(other *kandinskyapiv1.Checkpoint) bool {
		return other.GetStage() == newest.GetStage() && other.GetIndex() == newest.GetIndex()
	})
	switch {
	case older < 0:
		r.resume.Checkpoints = append(r.resume.Checkpoints, newest)
	case newest.GetStep() > r.resume.Checkpoints[older].GetStep():
		r.resume.Checkpoints[older] = newest
	default:
		return
	}
	r.progressed = true
}

// next returns what the next try goes on from, nil if from the start. What is noted later does not change it.
func (r *resumption) next() *kandinskyapiv1.Resume {
	if r.asked = proto.Size(r.resume) > 0; !r.asked {
		return nil
	}
	return &kandinskyapiv1.Resume{
		Checkpoints:       slices.Clone(r.resume.Checkpoints),
		Embeddings:        slices.Clone(r.resume.Embeddings),
		ImageIndices:      slices.Clone(r.resume.ImageIndices),
		StageFingerprints: maps.Clone(r.resume.StageFingerprints),
	}
}

// forget tells whether err is the refusal of a replica that cannot go on from here, and all can begin anew. Once a result was
// delivered it cannot: the rest would be of another model.
func (r *resumption) forget(err *Error) bool {
	begun := len(r.resume.Embeddings) > 0 || len(r.resume.ImageIndices) > 0
	if !r.asked || begun || !refusesResume(err) {
		return false
	}
	r.resume = &kandinskyapiv1.Resume{}
	return true
}

func refusesResume(err *Error) bool {
	if err.Reason == ReasonFingerprintMismatch {
		return true
	}
	return err.Reason == ReasonInvalidField && slices.ContainsFunc(err.Violations, func(violation Violation) bool {
		return strings.HasPrefix(violation.Field, resumeField)
	})
}
