package kandinsky

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// errorDomain is the ErrorInfo domain of this contract's reasons, for ever.
const errorDomain = "kandinsky-grpc.github.io"

// details is what a status says beside its code and message.
type details struct {
	reason     Reason
	metadata   map[string]string
	violations []Violation
	retryDelay *time.Duration
	requestID  string
}

// detailsOf reads the details of a status. Kinds that it does not know are passed over; where one cannot be read, all are
// left out: half of them could advise what the whole does not.
func detailsOf(st *status.Status) details {
	var read details
	for _, packed := range st.Proto().GetDetails() {
		if err := read.add(packed); err != nil {
			return details{}
		}
	}
	return read
}

func (d *details) add(packed *anypb.Any) error {
	var info errdetails.ErrorInfo
	var request errdetails.BadRequest
	var retry errdetails.RetryInfo
	var id errdetails.RequestInfo
	switch {
	case packed.MessageIs(&info):
		if err := packed.UnmarshalTo(&info); err != nil {
			return err
		}
		if info.GetDomain() == errorDomain {
			d.reason, d.metadata = Reason(info.GetReason()), info.GetMetadata()
		}
	case packed.MessageIs(&request):
		if err := packed.UnmarshalTo(&request); err != nil {
			return err
		}
		for _, violation := range request.GetFieldViolations() {
			d.violations = append(d.violations, Violation{violation.GetField(), violation.GetDescription()})
		}
	case packed.MessageIs(&retry):
		if err := packed.UnmarshalTo(&retry); err != nil {
			return err
		}
		delay := retry.GetRetryDelay().AsDuration()
		d.retryDelay = &delay
	case packed.MessageIs(&id):
		if err := packed.UnmarshalTo(&id); err != nil {
			return err
		}
		d.requestID = id.GetRequestId()
	}
	return nil
}
