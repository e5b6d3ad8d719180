package kandinsky

// Reason says why a call failed, for programs: a name of the contract's enum ErrorReason. Newer servers may have more.
type Reason string

// The reasons of the contract. What each puts into [Error.Metadata] stands at the enum in package kandinskyapiv1.
const (
	ReasonInvalidField        Reason = "INVALID_FIELD"
	ReasonInvalidImage        Reason = "INVALID_IMAGE"
	ReasonInvalidEmbedding    Reason = "INVALID_EMBEDDING"
	ReasonFingerprintMismatch Reason = "FINGERPRINT_MISMATCH"
	ReasonStageNotLoaded      Reason = "STAGE_NOT_LOADED"
	ReasonMessageTooLong      Reason = "MESSAGE_TOO_LONG"
	ReasonReceivingFull       Reason = "RECEIVING_FULL"
	ReasonQueueFull           Reason = "QUEUE_FULL"
	ReasonQuota               Reason = "QUOTA"
	ReasonDeadlineUnreachable Reason = "DEADLINE_UNREACHABLE"
	ReasonDeadlineExceeded    Reason = "DEADLINE_EXCEEDED"
	ReasonReceiveTimeout      Reason = "RECEIVE_TIMEOUT"
	ReasonRequestTooLong      Reason = "REQUEST_TOO_LONG"
	ReasonCancelled           Reason = "CANCELLED"
	ReasonNotRead             Reason = "NOT_READ"
	ReasonStarting            Reason = "STARTING"
	ReasonDraining            Reason = "DRAINING"
	ReasonDeviceHung          Reason = "DEVICE_HUNG"
	ReasonDeviceLost          Reason = "DEVICE_LOST"
	ReasonUnauthenticated     Reason = "UNAUTHENTICATED"
	ReasonPermissionDenied    Reason = "PERMISSION_DENIED"
	ReasonNonFinite           Reason = "NON_FINITE"
	ReasonBackendFailed       Reason = "BACKEND_FAILED"
	ReasonInternal            Reason = "INTERNAL"
)
